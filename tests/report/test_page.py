"""The report page in a real browser, opened as a file: it renders, without a word on the console,
and clicks and keys show what they should."""

import re
import shutil

import cv2
import numpy as np
import pytest

from knet.commands import call
from knet.errors import InputError
from knet.step_format import frame_name, read_png, write_panoptic
from tests.conftest import damaged_results

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
DRIVER = shutil.which('chromedriver')
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='needs Chromium, its driver')
OPTIONS = (
    '--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync '
    '--disable-background-networking --disable-component-update --window-size=1366,800'
)


@pytest.fixture(scope='module')
def page(tmp_path_factory, toy_results):
    """A page of one run whose pictures are in it."""
    return write(tmp_path_factory.mktemp('page'), *toy_results)


def write(folder, results, root, *more, name='report.html'):
    """Write a page with the command line."""
    out = folder / name
    call('report', [str(part) for part in (results, root, *more, '--out', out, '--width', 256)])
    return out


@pytest.fixture(scope='module')
def chrome():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS.split():
        options.add_argument(option)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(chrome):
    """Open a page and wait until its charts are drawn; at the end nothing is on the console."""
    from selenium.webdriver.support.ui import WebDriverWait

    def wait(condition):
        return WebDriverWait(chrome, 30).until(lambda _: condition())

    def open_file(path):
        chrome.get(path.resolve().as_uri())
        charts = '.chart svg'
        wait(lambda: len(chrome.find_elements('css selector', charts)) == 5)
        chrome.wait = wait
        return chrome

    yield open_file
    assert chrome.get_log('browser') == []


def shown(chrome):
    """Sequence and frame that the viewer shows."""
    sequence = chrome.execute_script(
        'const s = document.getElementById("sequence"); return s.options[s.value].textContent'
    )
    return sequence, int(chrome.find_element('id', 'frame-name').text.split()[1])


def picture_size(chrome, index):
    """Width and height of the picture of a panel, when it is decoded."""
    return chrome.execute_async_script(
        """const [index, done] = arguments;
        const image = document.querySelectorAll('#panels img')[index];
        image.decode().then(() => done([image.naturalWidth, image.naturalHeight]))
        """,
        index,
    )


@needs_browser
def test_page_renders_and_shows_the_worst_mistake(open_page, page):
    chrome = open_page(page)
    assert 'STQ' in chrome.find_element('id', 'totals').text
    mistakes = chrome.find_elements('css selector', '#mistakes button')
    text = mistakes[0].text
    assert mistakes[0].get_attribute('aria-current') == 'true'
    sequence, frame = re.search(r'sequence (\d+), frame (\d+)', text).groups()
    assert shown(chrome) == (sequence, int(frame))
    panels = chrome.find_elements('css selector', '#panels figcaption')
    assert [panel.text for panel in panels] == ['image', 'truth', 'prediction', 'errors']
    assert picture_size(chrome, 0) == [256, 4 * 128]
    width = chrome.execute_script('return document.documentElement.scrollWidth')
    assert width <= chrome.execute_script('return innerWidth')
    loaded = 'return performance.getEntriesByType("resource").map(e => e.name)'
    assert all(name.startswith('data:') for name in chrome.execute_script(loaded))


@needs_browser
def test_click_on_the_timeline_shows_that_frame(open_page, page):
    from selenium.webdriver import ActionChains

    chrome = open_page(page)
    data = 'return JSON.parse(document.getElementById("data").textContent)'
    frames = dict(chrome.execute_script(f'{data}.sequences.map(s => [s.name, s.frames])'))
    sequence, _ = shown(chrome)
    for share, position in ((0.1, 0), (0.6, 2), (0.99, 3)):
        # the bars' plot: from its left edge to its right one
        strip = chrome.find_element('css selector', '#timeline .mark-area path')
        size = strip.size['width']
        ActionChains(chrome).move_to_element_with_offset(
            strip, round((share - 0.5) * size), 0
        ).click().perform()
        chrome.wait(lambda p=position: shown(chrome) == (sequence, frames[sequence][p]))


@needs_browser
def test_click_on_a_bar_marks_its_object(open_page, page):
    from selenium.webdriver import ActionChains

    chrome = open_page(page)
    bars = chrome.find_elements('css selector', '#timeline .mark-rect.role-mark path')
    ActionChains(chrome).move_to_element_with_offset(bars[0], -6, 0).click().perform()
    chrome.wait(lambda: chrome.find_elements('css selector', '#panels i'))
    box = chrome.find_elements('css selector', '#panels i')[0].rect
    panel = chrome.find_elements('css selector', '#panels figure')[0].rect
    assert panel['x'] <= box['x'] and box['x'] + box['width'] <= panel['x'] + panel['width'] + 4
    assert 2 < box['width'] < panel['width']


@needs_browser
def test_keys(open_page, page):
    from selenium.webdriver.common.keys import Keys

    chrome = open_page(page)
    body = chrome.find_element('css selector', 'body')
    body.send_keys(Keys.HOME)
    sequence, first = shown(chrome)
    body.send_keys(Keys.ARROW_RIGHT)
    assert shown(chrome)[1] > first
    body.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert shown(chrome) == (sequence, first)
    body.send_keys('j')
    current = chrome.find_element('css selector', '#mistakes [aria-current]')
    assert current == chrome.find_elements('css selector', '#mistakes button')[1]
    theme = chrome.execute_script('return document.documentElement.dataset.theme')
    ground = body.value_of_css_property('background-color')
    body.send_keys('t')
    assert chrome.execute_script('return document.documentElement.dataset.theme') != theme
    assert body.value_of_css_property('background-color') != ground
    body.send_keys('?')
    assert 'next mistake' in chrome.find_element('id', 'help').text


@needs_browser
def test_two_runs_with_pictures_beside_the_page(open_page, toy_results, tmp_path):
    code, sequence = damaged_results(*toy_results, tmp_path / 'worse')
    path = write(tmp_path, *toy_results, tmp_path / 'worse', '--no-embed', '--names', 'A', 'B')
    pictures = sorted((tmp_path / 'report_files').rglob('*.webp'))
    assert len(pictures) == 8
    chrome = open_page(path)
    tabs = chrome.find_elements('css selector', '#mistake-tabs button')
    assert [tab.text for tab in tabs] == ['A', 'B', 'what changed']
    tabs[2].click()
    rows = chrome.find_elements('css selector', '#mistakes button')
    (row,) = [row for row in rows if 'never found' in row.text]
    assert row.text.startswith('+') and row in rows[:3]
    row.click()
    assert shown(chrome)[0] == str(sequence)
    captions = [c.text for c in chrome.find_elements('css selector', '#panels figcaption')]
    assert captions[2:] == ['prediction of A', 'errors of A', 'prediction of B', 'errors of B']
    assert picture_size(chrome, 5) == [256, 6 * 128]
    name = frame_name(int(sequence), shown(chrome)[1])
    image = chrome.find_element('css selector', '#panels img')
    assert image.get_attribute('src').endswith(f'report_files/pictures/{sequence}/{name}.webp')


def test_pictures(toy_results, tmp_path):
    """The panels of a frame's picture, from the top."""
    write(tmp_path, *toy_results, '--no-embed')
    path = sorted((tmp_path / 'report_files').rglob('*.webp'))[0]
    sheet = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    image, truth, prediction, errors = np.split(sheet.astype(int), 4)
    name = path.stem + '_leftImg8bit.png'
    original = read_png(toy_results[1] / 'video_sequence/val' / name)
    assert np.abs(image - cv2.resize(original, (256, 128))).mean() < 8
    assert np.abs(truth - image).mean() > 10 and np.abs(prediction - truth).mean() > 2
    grey = np.abs(errors[..., 0] - errors[..., 2]) < 12
    assert 0.3 < grey.mean() < 0.999  # the kinds are coloured


def test_pictures_of_an_earlier_page_go(toy_results, tmp_path):
    """Nothing of another set is left, and nothing of anybody else is deleted."""
    one = next((toy_results[0] / 'panoptic').iterdir()).name
    write(tmp_path, *toy_results, '--no-embed')
    folder = tmp_path / 'report_files/pictures'
    assert len(list(folder.rglob('*.webp'))) == 8
    write(tmp_path, *toy_results, '--no-embed', '--sequences', one)
    assert [path.name for path in folder.iterdir()] == [one]
    (folder / one / 'mine.webp').write_bytes(b'mine')
    with pytest.raises(InputError, match='mine.webp'):
        write(tmp_path, *toy_results, '--no-embed')
    assert (folder / one / 'mine.webp').read_bytes() == b'mine'


@needs_browser
def test_strange_names(open_page, toy_results, tmp_path):
    """Nothing in a name ends the page's scripts or hides them, or loses its pictures."""
    name = '</script><b>x<!--<script>'
    options = ('--names', name, '--title', name, '--no-embed')
    path = write(tmp_path, *toy_results, *options, name='a#1?b%41 ü.html')
    text = path.read_text()
    assert '</script><b>' not in text and '&lt;/script&gt;' in text
    chrome = open_page(path)
    assert chrome.find_element('id', 'title').text == name
    assert picture_size(chrome, 0) == [256, 4 * 128]


@needs_browser
def test_frames_of_two_sizes_and_many_objects(open_page, tmp_path):
    """Each frame has its own shape; the timeline says what it leaves out."""
    from selenium.webdriver.common.keys import Keys

    root, results = tmp_path / 'truth', tmp_path / 'results'
    for frame, (height, width) in enumerate(((64, 128), (128, 128))):
        instance = np.arange(height * width).reshape(height, width) // 8 + 1
        maps = np.full((height, width), 13), instance
        write_panoptic(root / f'{frame_name(3, frame)}_panoptic.png', *maps)
        write_panoptic(results / f'panoptic/3/{frame_name(3, frame)}.png', *maps)
    chrome = open_page(write(tmp_path, results, root))
    heights = []
    for key, rows in ((Keys.HOME, 128), (Keys.END, 256)):
        chrome.find_element('css selector', 'body').send_keys(key)
        assert picture_size(chrome, 0) == [256, 4 * rows]
        heights.append(chrome.find_element('css selector', '#panels img').size['height'])
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)
    assert 'Of 2048 objects only the 300 most' in chrome.find_element('id', 'timeline-cut').text


def test_panels_that_no_picture_can_hold(tmp_path):
    maps = np.zeros((600, 20), np.uint8), np.zeros((600, 20), np.int32)
    write_panoptic(tmp_path / 'truth/000000_000000_panoptic.png', *maps)
    write_panoptic(tmp_path / 'results/panoptic/0/000000_000000.png', *maps)
    with pytest.raises(InputError, match='choose a smaller --width'):
        write(tmp_path, tmp_path / 'results', tmp_path / 'truth')
    assert not (tmp_path / 'report.html').exists()
