'use strict';
// Draws the page from its data (see knet/report/data.py); charts are Vega-Lite's.

const data = JSON.parse(document.getElementById('data').textContent);
const element = (id) => document.getElementById(id);
const state = {sequence: 0, position: 0, object: -1, confusionRun: 0, timer: null,
  tab: data.runs.length > 1 ? data.runs.length : 0};  // of two runs: what changed
const MAX_ROWS = 300;  // of the timeline; charts of thousands are slow and nobody reads them
const FIRST_WRONG = 2;  // kinds before it are void and right
const views = {};  // of the charts, by the id of their place

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = (value, digits = 1) => value == null ? '–' : (100 * value).toFixed(digits);
const runColours = () => data.runs.map((_, i) => colourOf(`--run-${i}`));
const several = data.runs.length > 1;
const sequenceIndex = new Map(data.sequences.map((sequence, i) => [sequence.name, i]));
const objectName = (object) => `${data.classes[object.class]} ${object.id}`;
const main = data.protocols[0];

// ---------------------------------------------------------------- totals and mistakes

function drawTotals() {
  const place = element('totals');
  place.replaceChildren();
  for (const protocol of data.protocols) {
    const row = make('div', {class: several ? 'protocol wide' : 'protocol'}, make('h3', {}, `protocol ${protocol}`));
    for (const [name, find] of [
      ['STQ', (r) => r.stq.STQ], ['AQ', (r) => r.stq.AQ], ['SQ', (r) => r.stq.SQ],
      ['VPQ', (r) => r.vpq.VPQ], ['VPQ thing', (r) => r.vpq.VPQ_thing],
      ['VPQ stuff', (r) => r.vpq.VPQ_stuff],
    ]) {
      const values = data.runs.map((run) => find(run.results[protocol]));
      const card = make('div', {class: 'card'}, make('span', {}, name));
      if (!several) card.append(make('b', {}, percent(values[0])));
      else {
        const change = values[1] - values[0];
        card.append(make('b', {class: 'pair'}, `${percent(values[0])} → ${percent(values[1])}`));
        const kind = change > 0.0005 ? 'better' : change < -0.0005 ? 'worse' : '';
        card.append(make('span', {class: kind}, `${change >= 0 ? '+' : '−'}${percent(Math.abs(change))}`));
      }
      row.append(card);
    }
    place.append(row);
  }
}

const mistakeLists = [...data.mistakes, ...(several ? [data.changes] : [])];

function drawTabs() {
  const names = [...data.runs.map((run) => run.name), 'what changed'];
  const tabs = (place, count, current, choose) => place.replaceChildren(
    ...(count < 2 ? [] : names.slice(0, count).map((name, i) => make('button', {
      role: 'tab', 'aria-selected': i === current, onclick: () => choose(i)}, name))));
  tabs(element('mistake-tabs'), several ? 3 : 1, state.tab, (i) => { state.tab = i; drawMistakes(); });
  tabs(element('confusion-tabs'), data.runs.length, state.confusionRun, (i) => {
    state.confusionRun = i;
    drawTabs();
    drawConfusion();
  });
}

function drawMistakes() {
  drawTabs();
  const isChange = state.tab === data.runs.length;
  element('mistakes-note').textContent = isChange ?
    `By how many points STQ pays more (+) or less (−) for it in ${data.runs[1].name}.` :
    'Points of STQ that the set would gain without it.';
  element('mistakes').replaceChildren(...mistakeLists[state.tab].map((mistake) => {
    const value = (isChange && mistake.cost > 0 ? '+' : '') + percent(mistake.cost, 2);
    const kind = !isChange ? '' : mistake.cost > 0 ? 'worse' : 'better';
    const frame = data.sequences[sequenceIndex.get(mistake.sequence)].frames[mistake.position];
    return make('li', {}, make('button', {onclick: (event) => show(mistake, event.currentTarget)},
      make('b', {class: kind}, value.replace('-', '−')),
      make('span', {}, mistake.text,
        make('small', {}, `sequence ${mistake.sequence}, frame ${frame}`))));
  }));
}

function show(mistake, button) {
  for (const other of element('mistakes').querySelectorAll('[aria-current]')) other.removeAttribute('aria-current');
  button.setAttribute('aria-current', 'true');
  button.scrollIntoView({block: 'nearest'});
  go(sequenceIndex.get(mistake.sequence), mistake.position, mistake.object);
}

function stepMistake(step) {
  const buttons = [...element('mistakes').querySelectorAll('button')];
  const current = buttons.findIndex((button) => button.getAttribute('aria-current'));
  const next = buttons[Math.min(buttons.length - 1, Math.max(0, current + step))];
  if (next) next.click();
}

// ---------------------------------------------------------------- frames

function pictureOf(sequence, position) {
  const pad = (number) => String(number).padStart(6, '0');
  const name = `${pad(sequence.name)}_${pad(sequence.frames[position])}`;
  if (data.pictures.folder) return encodeURI(`${data.pictures.folder}/${sequence.name}/${name}.webp`).replace(/[?#]/g, encodeURIComponent);
  return 'data:image/webp;base64,' + element(`frame-${name}`).textContent;
}

function go(index, position, object = -1) {
  const changed = index !== state.sequence;
  state.sequence = index;
  const sequence = data.sequences[index];
  state.position = Math.min(sequence.frames.length - 1, Math.max(0, position));
  state.object = object;
  if (changed) {
    element('sequence').value = index;
    drawTimeline();
  }
  drawFrame();
}

function drawFrame() {
  const sequence = data.sequences[state.sequence];
  const [height, width] = sequence.sizes[state.position];
  const source = pictureOf(sequence, state.position);
  const panels = data.pictures.panels;
  const target = sequence.objects[state.object];
  const box = target && sequence.boxes[state.position][target.class * 65536 + target.id];
  const figures = panels.map((name, i) => {
    const image = make('img', {src: source, alt: `${name}, sequence ${sequence.name}, frame ${sequence.frames[state.position]}`,
      style: `aspect-ratio: ${width} / ${height}; object-position: 0 ${100 * i / (panels.length - 1)}%`});
    const figure = make('figure', {}, image, make('figcaption', {}, name));
    image.addEventListener('error', () => figure.replaceChildren(
      make('div', {class: 'lost'}, `${data.pictures.folder} must lie beside this page`)));
    if (box) {
      const [left, top, right, bottom] = box.map((part) => part / 10);
      figure.append(make('i', {style: `left:${left}%;top:${top}%;width:${right - left}%;height:${bottom - top}%`}));
    }
    return figure;
  });
  element('panels').replaceChildren(...figures);
  element('frame-name').textContent = `frame ${sequence.frames[state.position]}`;
  element('slider').max = sequence.frames.length - 1;
  element('slider').value = state.position;
  drawLegend(sequence);
  const view = views.timeline;
  if (view && view.sequence === state.sequence) view.signal('now', sequence.frames[state.position]).run();
}

function drawLegend(sequence) {
  element('legend').replaceChildren(...data.kinds.slice(FIRST_WRONG).map((kind, i) => {
    const shares = sequence.runs.map((run) => {
      const pixels = run.kinds[state.position];
      const labelled = pixels.reduce((sum, value) => sum + value, 0) - pixels[0];
      return labelled ? `${percent(pixels[i + FIRST_WRONG] / labelled)} %` : '–';
    });
    return make('li', {title: kind.meaning}, make('i', {style: `background:${kind.colour}`}),
      `${kind.name} ${shares.join(' → ')}`);
  }));
}

function play(start) {
  clearInterval(state.timer);
  state.timer = null;
  if (start) {
    state.timer = setInterval(() => {
      const count = data.sequences[state.sequence].frames.length;
      go(state.sequence, (state.position + 1) % count, state.object);
    }, 150);
  }
  element('play').textContent = start ? 'Stop' : 'Play';
}

// ---------------------------------------------------------------- charts

function chartConfig() {
  const text = colourOf('--text'), faint = colourOf('--faint'), line = colourOf('--line');
  return {
    background: null, font: getComputedStyle(document.body).fontFamily,
    view: {stroke: null},
    axis: {labelColor: text, titleColor: faint, gridColor: line, domainColor: line, tickColor: line,
      titleFontWeight: 'normal', labelLimit: 130, labelFontSize: 12, titleFontSize: 12},
    axisQuantitative: {labelOverlap: true},
    legend: {labelColor: text, titleColor: faint, orient: 'top', title: null, labelFontSize: 12},
    text: {color: text, font: 'inherit'},
  };
}

async function draw(id, spec) {
  const place = element(id);
  const ticket = place.ticket = (place.ticket || 0) + 1;
  const options = {mode: 'vega-lite', actions: false, renderer: 'svg', config: chartConfig()};
  const result = await vegaEmbed(make('div'), spec, options);
  if (ticket !== place.ticket) {  // another drawing began meanwhile
    result.finalize();
    return null;
  }
  if (views[id]) views[id].finalize();
  views[id] = result.view;
  place.replaceChildren(result.view.container());
  return result.view;
}

const widthOf = (id, margin) => Math.max(160, element(id).clientWidth - margin);

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

// Rows of the timeline: true objects, then predicted ones that lie on none.
function timelineRows(sequence) {
  const order = sequence.objects.map((object, i) => ({object, i}));
  const cost = ({object}) => object.runs[object.runs.length - 1].cost;
  const start = ({object}) => object.runs[0].pieces[0][0];
  order.sort((a, b) => cost(b) - cost(a)).splice(MAX_ROWS);
  if (element('order').value === 'time') order.sort((a, b) => start(a) - start(b));
  element('timeline-cut').textContent = order.length === sequence.objects.length ? '' :
    ` Of ${sequence.objects.length} objects only the ${MAX_ROWS} most expensive are drawn.`;
  const rows = order.map(({object, i}) => ({
    name: objectName(object), index: i,
    pieces: object.runs.map((run) => run.pieces),
    notes: object.runs.map((run) => `AQ ${percent(run.association)} %, costs ${percent(run.cost, 2)} points of STQ`),
  }));
  sequence.runs.forEach((run, r) => run.false_tracks.forEach((track) => rows.push({
    name: `false ${track.name}`, index: -1,
    pieces: data.runs.map((_, other) => other === r ? track.pieces : []),
    notes: data.runs.map(() => `${track.pixels.toLocaleString('en')} pixels`),
  })));
  return rows;
}

function timelineValues(sequence, rows, width) {
  const step = frameStep(sequence);
  const end = (position) => sequence.frames[position] + step;
  const total = end(sequence.frames.length - 1) - sequence.frames[0];
  const missed = colourOf('--missed');
  return rows.flatMap((row) => row.pieces.flatMap((pieces, r) => pieces.map(([first, last, label, id, colour]) => {
    const x = sequence.frames[first], x2 = end(last);
    const wide = (x2 - x) / total * width > 9 * String(id).length + 4;
    return {
      row: row.name, object: row.index, run: data.runs[r].name, x, x2,
      colour: colour || missed, missed: id === null, text: id !== null && wide ? String(id) : '',
      ink: colour && luminance(colour) < 0.55 ? '#fff' : '#000',
      what: id === null ? 'missed' : `${data.classes[label]} ${id}`,
      frames: `${x} to ${sequence.frames[last]}`, note: row.notes[r],
    };
  })));
}

function frameStep(sequence) {
  const gaps = sequence.frames.slice(1).map((frame, i) => frame - sequence.frames[i]).sort((a, b) => a - b);
  return gaps.length ? gaps[gaps.length >> 1] : 1;
}

function errorStrip(sequence, r, x, width) {
  const step = frameStep(sequence);
  const rows = sequence.runs[r].kinds;
  const values = data.kinds.slice(FIRST_WRONG).flatMap((kind, k) => [...rows, rows[rows.length - 1]].map((pixels, i) => {
    const labelled = pixels.reduce((sum, value) => sum + value, 0) - pixels[0];
    const frame = i < rows.length ? sequence.frames[i] : sequence.frames[i - 1] + step;
    return {kind: kind.name, order: k, x: frame, share: labelled ? pixels[k + FIRST_WRONG] / labelled : 0};
  }));
  return {
    width, height: 64, data: {values},
    mark: {type: 'area', interpolate: 'step-after', clip: true},
    encoding: {
      x: {...x, axis: null},
      y: {field: 'share', type: 'quantitative', stack: 'zero', axis: {format: '.0%', tickCount: 3, minExtent: 130, maxExtent: 130},
        title: several ? data.runs[r].name : null},
      color: {field: 'kind', type: 'nominal', legend: null, scale: {
        domain: data.kinds.map((kind) => kind.name), range: data.kinds.map((kind) => kind.colour)}},
      order: {field: 'order'},
    },
  };
}

function timelineSpec(sequence, rows, width) {
  const step = frameStep(sequence);
  const last = sequence.frames[sequence.frames.length - 1] + step;
  const x = {field: 'x', type: 'quantitative', scale: {domain: [sequence.frames[0], last], nice: false, zero: false}};
  const y = {field: 'row', type: 'nominal', sort: rows.map((row) => row.name), title: null,
    scale: {paddingInner: 0.18}, axis: {minExtent: 130, maxExtent: 130, ticks: false, domain: false, grid: false}};
  const offset = several ? {yOffset: {field: 'run', sort: data.runs.map((run) => run.name)}} : {};
  const ground = colourOf('--card');
  const bars = {
    width, height: {step: several ? 15 : 20}, data: {values: timelineValues(sequence, rows, width)},
    encoding: {x: {...x, title: 'frame', axis: {orient: 'bottom', tickMinStep: 1, format: 'd', grid: false}}, y, ...offset},
    layer: [
      {mark: {type: 'bar', stroke: ground, strokeWidth: 1, cursor: 'pointer'},
        encoding: {x2: {field: 'x2'}, color: {field: 'colour', type: 'nominal', scale: null},
          opacity: {condition: {test: 'datum.missed', value: 0.45}, value: 1},
          tooltip: [{field: 'row', title: 'object'}, {field: 'what', title: 'predicted'}, {field: 'frames'},
            ...(several ? [{field: 'run'}] : []), {field: 'note'}]}},
      {transform: [{filter: 'datum.text'}, {calculate: '(datum.x + datum.x2) / 2', as: 'middle'}],
        mark: {type: 'text', fontSize: 11, baseline: 'middle', tooltip: null},
        encoding: {x: {field: 'middle', type: 'quantitative', title: 'frame'}, text: {field: 'text'},
          color: {field: 'ink', type: 'nominal', scale: null}}},
      {mark: {type: 'rule', strokeWidth: 2, color: colourOf('--accent'), tooltip: null},
        data: {values: [{row: null}]}, transform: [{calculate: `now + ${step / 2}`, as: 'here'}],
        encoding: {x: {field: 'here', type: 'quantitative', title: 'frame'}, y: null, yOffset: null}},
    ],
  };
  return {
    params: [{name: 'now', value: sequence.frames[state.position]}], spacing: 6,
    vconcat: [...sequence.runs.map((_, r) => errorStrip(sequence, r, x, width)), bars],
    resolve: {scale: {x: 'shared', color: 'independent'}},
  };
}

// Pixels from the left edge of the plot that an event happened in.
function placeIn(view, event, item) {
  let x = event.clientX - view.container().querySelector('svg').getBoundingClientRect().left - view.origin()[0];
  let group = item && (item.mark.marktype === 'group' ? item : item.mark.group);
  for (; group; group = group.mark && group.mark.group) x -= group.x || 0;
  return x;
}

async function drawTimeline() {
  const index = state.sequence, sequence = data.sequences[index];
  const rows = timelineRows(sequence);
  const width = widthOf('timeline', 175);
  const view = await draw('timeline', timelineSpec(sequence, rows, width));
  if (!view) return;
  view.sequence = index;
  const last = sequence.frames[sequence.frames.length - 1] + frameStep(sequence);
  view.addEventListener('click', (event, item) => {
    const share = placeIn(view, event, item) / width;
    if (share < 0 || share > 1) return;
    const frame = sequence.frames[0] + share * (last - sequence.frames[0]);
    const after = sequence.frames.findIndex((number) => number > frame);
    const object = item && item.datum && item.datum.object;
    go(index, (after < 0 ? sequence.frames.length : after) - 1, object === undefined ? -1 : object);
    element('viewer-bar').scrollIntoView({block: 'nearest', behavior: 'smooth'});
  });
  view.signal('now', sequence.frames[state.position]).run();
}

function byRun(extra = {}) {
  return {field: 'run', type: 'nominal', sort: null, scale: {domain: data.runs.map((run) => run.name), range: runColours()},
    legend: several ? {} : null, ...extra};
}

function drawClasses() {
  const stqs = data.runs.map((run) => run.results[main].stq);
  const values = data.classes.flatMap((name, i) => data.runs.map((run, r) => {
    const vpq = Object.values(run.results[main].vpq.k).map((window) => percent(window.pq[i]));
    return {name: name + (data.things.includes(i) ? ' *' : ''), run: run.name, iou: stqs[r].iou_per_class[i],
      aq: stqs[r].aq_per_class[i], pq: vpq.join(', ')};
  })).filter((row) => row.iou != null);
  const offset = several ? {yOffset: {field: 'run', sort: null}} : {};
  const scale = {domain: [0, 1]};
  draw('class-chart', {
    width: widthOf('class-chart', 150), height: {step: several ? 12 : 19}, data: {values},
    encoding: {y: {field: 'name', type: 'nominal', title: null, sort: {field: 'iou', op: 'max', order: 'descending'}}, ...offset},
    layer: [
      {mark: {type: 'bar'}, encoding: {x: {field: 'iou', type: 'quantitative', scale, title: null, axis: {format: '.0%'}}, color: byRun(),
        tooltip: [{field: 'name', title: 'class'}, {field: 'run'}, {field: 'iou', format: '.1%', title: 'IoU'},
          {field: 'aq', format: '.1%', title: 'AQ'}, {field: 'pq', title: 'PQ of windows'}]}},
      {transform: [{filter: 'isValid(datum.aq)'}],
        mark: {type: 'point', shape: 'diamond', filled: true, size: 90, color: colourOf('--card'), stroke: colourOf('--text'), opacity: 1},
        encoding: {x: {field: 'aq', type: 'quantitative', scale, title: null}}},
    ],
  });
}

async function drawConfusion() {
  const run = data.runs[state.confusionRun];
  const matrix = run.results[main].stq.confusion;
  const sums = matrix.map((row) => row.reduce((sum, value) => sum + value, 0));
  const values = run.confusions.map(([truth, guess, pixels, sequence, position]) => ({
    truth: data.classes[truth], guess: data.classes[guess], pixels, share: pixels / sums[truth], sequence, position}));
  const names = (key) => data.classes.filter((name) => values.some((row) => row[key] === name));
  const view = await draw('confusion-chart', {
    width: {step: 21}, height: {step: 21}, data: {values}, mark: {type: 'rect', cursor: 'pointer'},
    title: values.length ? undefined : {text: 'No class was taken for another one.', color: colourOf('--text')},
    encoding: {
      x: {field: 'guess', type: 'nominal', sort: names('guess'), title: 'predicted', axis: {labelAngle: -60, orient: 'top', grid: true}},
      y: {field: 'truth', type: 'nominal', sort: names('truth'), title: 'true', axis: {grid: true}},
      color: {field: 'share', type: 'quantitative', legend: {orient: 'bottom', format: '.0%', gradientLength: 180},
        scale: {type: 'sqrt', domain: [0, Math.max(0.01, ...values.map((row) => row.share))],
          range: [colourOf('--heat-0'), colourOf('--heat-1')]}},
      tooltip: [{field: 'truth', title: 'true'}, {field: 'guess', title: 'predicted'}, {field: 'pixels', format: ','},
        {field: 'share', format: '.2%'}],
    },
  });
  if (view) view.addEventListener('click', (_, item) => openFrom(item));
}

function openFrom(item) {
  if (!item || !item.datum || item.datum.sequence === undefined) return;
  go(sequenceIndex.get(item.datum.sequence), item.datum.position || 0);
  element('viewer-bar').scrollIntoView({block: 'nearest', behavior: 'smooth'});
}

function drawWindows() {
  const parts = {all: 'VPQ', thing: 'VPQ_thing', stuff: 'VPQ_stuff'};
  const values = data.runs.flatMap((run) => Object.entries(run.results[main].vpq.k).flatMap(([k, found]) =>
    Object.entries(parts).map(([part, key]) => ({k: +k, run: run.name, part, value: found[key]}))));
  draw('window-chart', {
    width: widthOf('window-chart', 70), height: 200, data: {values},
    mark: {type: 'line', point: {size: 55, filled: true}},
    encoding: {
      x: {field: 'k', type: 'ordinal', title: 'k', axis: {labelAngle: 0}},
      y: {field: 'value', type: 'quantitative', scale: {domain: [0, 1]}, title: null, axis: {format: '.0%'}},
      color: byRun(), strokeDash: {field: 'part', type: 'nominal', sort: null, legend: {symbolType: 'stroke', symbolSize: 400, symbolStrokeColor: colourOf('--text'), symbolStrokeWidth: 2, symbolFillColor: 'transparent'}},
      tooltip: [{field: 'part', title: 'classes'}, {field: 'run'}, {field: 'k'}, {field: 'value', format: '.1%', title: 'VPQ'}],
    },
  });
}

async function drawSequences() {
  const values = data.sequences.flatMap((sequence) => sequence.runs.map((run, r) => {
    const {STQ, AQ, SQ} = run.results[main].stq;
    return {sequence: sequence.name, run: data.runs[r].name, STQ, AQ, SQ};
  }));
  const offset = several ? {yOffset: {field: 'run', sort: null}} : {};
  const tooltip = [{field: 'sequence'}, {field: 'run'}, ...['STQ', 'AQ', 'SQ'].map((field) => ({field, format: '.1%'}))];
  const view = await draw('sequence-chart', {
    width: widthOf('sequence-chart', 90), height: {step: several ? 12 : 19}, data: {values},
    encoding: {y: {field: 'sequence', type: 'nominal', title: null, sort: {field: 'STQ', op: 'min'}}, tooltip, ...offset},
    layer: [
      {mark: {type: 'bar', cursor: 'pointer'}, encoding: {color: byRun(),
        x: {field: 'STQ', type: 'quantitative', scale: {domain: [0, 1]}, axis: {format: '.0%'}, title: 'STQ (bar), AQ (●) and SQ (■)'}}},
      ...[['AQ', 'circle'], ['SQ', 'square']].map(([field, shape]) => ({
        mark: {type: 'point', filled: true, size: 55, shape, color: colourOf('--card'), stroke: colourOf('--text'), opacity: 1},
        encoding: {x: {field, type: 'quantitative'}}})),
    ],
  });
  if (view) view.addEventListener('click', (_, item) => openFrom(item));
}

// ---------------------------------------------------------------- tables and the rest

function table(head, rows) {
  return make('table', {}, make('thead', {}, make('tr', {}, ...head.map((name) => make('th', {}, name)))),
    make('tbody', {}, ...rows.map((row) => make('tr', {}, ...row.map((cell) => make('td', {}, cell))))));
}

function drawTables() {
  const ks = Object.keys(data.runs[0].results[main].vpq.k);
  const tag = (name, run) => several ? `${name} ${run.name}` : name;
  const classRows = data.classes.map((name, i) => [
    name + (data.things.includes(i) ? ' *' : ''),
    ...data.runs.flatMap((run) => {
      const {stq, vpq} = run.results[main];
      return [percent(stq.iou_per_class[i]), percent(stq.aq_per_class[i]), ...ks.map((k) => percent(vpq.k[k].pq[i]))];
    }),
  ]).filter((row) => row.slice(1).some((cell) => cell !== '–'));
  element('class-table').replaceChildren(table(
    ['class (* thing)', ...data.runs.flatMap((run) => ['IoU', 'AQ', ...ks.map((k) => `PQ k=${k}`)].map((name) => tag(name, run)))], classRows));
  element('sequence-table').replaceChildren(table(
    ['sequence', 'frames', 'objects', ...data.runs.flatMap((run) => ['STQ', 'AQ', 'SQ', 'VPQ'].map((name) => tag(name, run)))],
    data.sequences.map((sequence) => [sequence.name, String(sequence.frames.length), String(sequence.objects.length),
      ...sequence.runs.flatMap((run) => {
        const {stq, vpq} = run.results[main];
        return [stq.STQ, stq.AQ, stq.SQ, vpq.VPQ].map((value) => percent(value));
      })])));
  element('made-of').replaceChildren(...data.runs.map((run) => table(['', run.name],
    [['predictions', run.path], ...Object.entries(run.made_of)])));
}

const KEYS = {
  'ArrowLeft': ['←', 'previous frame', () => go(state.sequence, state.position - 1, state.object)],
  'ArrowRight': ['→', 'next frame', () => go(state.sequence, state.position + 1, state.object)],
  'Home': ['Home', 'first frame', () => go(state.sequence, 0, state.object)],
  'End': ['End', 'last frame', () => go(state.sequence, Infinity, state.object)],
  'j': ['j', 'next mistake', () => stepMistake(1)],
  'k': ['k', 'mistake before', () => stepMistake(-1)],
  'n': ['n', 'next sequence', () => go(Math.min(data.sequences.length - 1, state.sequence + 1), 0)],
  'p': ['p', 'sequence before', () => go(Math.max(0, state.sequence - 1), 0)],
  ' ': ['space', 'play, stop', () => play(!state.timer)],
  't': ['t', 'light, dark', () => setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark')],
  '?': ['?', 'this help', () => element('help-button').click()],
};

function onKey(event) {
  const inField = event.target.closest('select, input:not([type=range]), summary');
  const isButtonKey = event.key === ' ' && event.target.closest('button');
  const found = KEYS[event.key];
  if (!found || inField || isButtonKey || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  found[2]();
}

function drawHelp() {
  element('help-keys').replaceChildren(...Object.values(KEYS).flatMap(([key, words]) =>
    [make('dt', {}, make('kbd', {}, key)), make('dd', {}, words)]));
  const terms = [
    ['STQ', '√(AQ · SQ): tracking and segmentation together (STEP, arXiv 2102.11859)'],
    ['AQ', 'how well the pixels of each true object keep one id, mean over objects'],
    ['SQ', 'mean IoU of the classes'],
    ['VPQ', 'panoptic quality of tubes of k frames, mean over k (arXiv 2006.11339)'],
    ['cost', 'what STQ of the set would gain if all pixels of this object had its class and an id of their own, or if these pixels had the right class'],
    ...data.kinds.map((kind) => [kind.name, kind.meaning]),
  ];
  element('help-terms').replaceChildren(...terms.flatMap(([name, words]) => [make('dt', {}, name), make('dd', {}, words)]));
}

function drawCharts() {
  drawTimeline();
  drawClasses();
  drawConfusion();
  drawWindows();
  drawSequences();
}

function setTheme(theme, keep = true) {
  document.documentElement.dataset.theme = theme;
  element('theme-button').textContent = theme === 'dark' ? 'Light' : 'Dark';
  if (keep) {
    try { localStorage.setItem('theme', theme); } catch { /* storage may be closed to local files */ }
  }
  drawCharts();
}

function firstTheme() {
  try {
    const kept = localStorage.getItem('theme');
    if (kept) return kept;
  } catch { /* as above */ }
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

function start() {
  const frames = data.sequences.reduce((sum, sequence) => sum + sequence.frames.length, 0);
  const objects = data.sequences.reduce((sum, sequence) => sum + sequence.objects.length, 0);
  element('title').textContent = data.title;
  element('summary').textContent = `${data.sequences.length} sequences, ${frames} frames, ${objects} true objects; ` +
    `${data.runs.map((run) => run.name).join(' → ')}. All values in percent.`;
  element('footer').textContent = `Video K-Net ${data.version}`;
  element('sequence').replaceChildren(...data.sequences.map((sequence, i) => make('option', {value: i}, sequence.name)));
  element('sequence').addEventListener('change', (event) => go(+event.target.value, 0));
  element('slider').addEventListener('input', (event) => go(state.sequence, +event.target.value, state.object));
  element('previous').addEventListener('click', KEYS.ArrowLeft[2]);
  element('next').addEventListener('click', KEYS.ArrowRight[2]);
  element('play').addEventListener('click', () => play(!state.timer));
  element('order').addEventListener('change', drawTimeline);
  element('theme-button').addEventListener('click', KEYS.t[2]);
  element('help-button').addEventListener('click', () => {
    element('help').hidden = !element('help').hidden;
    element('help-button').setAttribute('aria-expanded', String(!element('help').hidden));
  });
  document.addEventListener('keydown', onKey);
  let timer = null, width = innerWidth;
  addEventListener('resize', () => {
    clearTimeout(timer);
    if (innerWidth !== width) timer = setTimeout(() => { width = innerWidth; drawCharts(); }, 200);
  });
  drawTotals();
  drawMistakes();
  drawHelp();
  drawTables();
  setTheme(firstTheme(), false);
  const best = element('mistakes').querySelector('button');
  if (best) best.click(); else drawFrame();
  document.documentElement.dataset.ready = 'yes';
}

start();
