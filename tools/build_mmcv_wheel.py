"""Build the mmcv-full wheel from its sdist, several times faster than pip does.

    python tools/build_mmcv_wheel.py VERSION OUT_DIR

Nearly all of mmcv-full's build time goes into parsing torch's headers again for each of its 60 C++
files. A precompiled header of what they all include brings the build from 9 minutes to 2 on two
cores. torch, ninja, psutil, wheel and setuptools<81 must be installed in the environment that runs
this (`pip install --no-build-isolation mmcv-full` does the same, slowly, up to Python 3.12).
`FORCE_CUDA=1` adds the CUDA ops (no configuration of this project needs them).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

# A precompiled header made with other flags than the extension's is ignored by the compiler.
COMPILE_FLAGS = ['-g0', '-O2']
EXTENSION_FLAGS = ['-std=c++17', '-DTORCH_API_INCLUDE_EXTENSION_H', '-DTORCH_EXTENSION_NAME=_ext']


def setup_environment(version, folder):
    """Environment variables for what runs mmcv-full's setup.py.

    That file reads its version with `exec(...); return locals()['__version__']`, which finds
    nothing from Python 3.13 on (PEP 667), already while pip asks the sdist for its name. A
    `sitecustomize` in `folder` lets it find it.
    """
    env = dict(os.environ, MMCV_WITH_OPS='1')
    if sys.version_info >= (3, 13):
        folder.mkdir()
        (folder / 'sitecustomize.py').write_text(f"""
import builtins, sys
def read_locals():
    frame = sys._getframe(1)
    if frame.f_code.co_name == 'get_version':
        return {{**frame.f_locals, '__version__': {version!r}}}
    return frame.f_locals
builtins.locals = read_locals
""")
        env['PYTHONPATH'] = os.pathsep.join(filter(None, [str(folder), env.get('PYTHONPATH')]))
    return env


def download_sdist(version, folder, env):
    """Fetch and unpack the sdist of mmcv-full `version` below `folder`; returns the source
    folder."""
    command = [
        sys.executable,
        '-m',
        'pip',
        'download',
        '-q',
        '--no-deps',
        '--no-build-isolation',
        '--no-binary',
        ':all:',
        '-d',
        str(folder),
        f'mmcv-full=={version}',
    ]
    subprocess.run(command, check=True, env=env)
    archive = next(folder.glob('*.tar.gz'))
    with tarfile.open(archive) as tar:
        # early releases of Python 3.10 and 3.11 know no filter
        tar.extractall(
            folder / 'source', **({'filter': 'data'} if hasattr(tarfile, 'data_filter') else {})
        )
    return next((folder / 'source').iterdir())


def extension_flags(env):
    """Flags that setuptools compiles extensions with; its versions differ in whether CFLAGS adds to
    Python's own or replaces them."""
    program = """
import json, setuptools
from distutils.ccompiler import new_compiler
from distutils.sysconfig import customize_compiler
compiler = new_compiler()
customize_compiler(compiler)
print(json.dumps(compiler.compiler_so[1:]))
"""
    return json.loads(
        subprocess.run(
            [sys.executable, '-c', program], check=True, capture_output=True, text=True, env=env
        ).stdout
    )


def precompile_header(source, folder, env):
    """Precompile the header that every C++ file of mmcv includes; returns its path, None where that
    fails."""
    from torch.utils.cpp_extension import include_paths

    header = folder / 'pytorch_cpp_helper.hpp'
    shutil.copy(source / 'mmcv/ops/csrc/common/pytorch_cpp_helper.hpp', header)
    includes = [f'-I{p}' for p in include_paths() + [sysconfig.get_path('include')]]
    compiler = os.environ.get('CXX', 'c++').split()
    command = compiler + [
        '-x',
        'c++-header',
        *extension_flags(env),
        *EXTENSION_FLAGS,
        *includes,
        '-o',
        f'{header}.gch',
        str(header),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(f'no precompiled header, the build takes longer: {done.stderr[-500:]}\n')
        return None
    return header


def build(version, out_dir):
    """Build the wheel in a temporary folder and move it to `out_dir` once it is whole."""
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='mmcv-build-', dir=out_dir) as tmp:
        tmp = Path(tmp)
        env = setup_environment(version, tmp / 'site')
        source = download_sdist(version, tmp, env)
        env.setdefault('MAX_JOBS', str(os.cpu_count()))
        env['CFLAGS'] = ' '.join([env.get('CFLAGS', ''), *COMPILE_FLAGS]).strip()
        header = precompile_header(source, tmp, env)
        if header:
            env['CFLAGS'] += f' -include {header}'
        log = tmp / 'build.log'
        with log.open('w') as stream:
            done = subprocess.run(
                [
                    sys.executable,
                    '-m',
                    'pip',
                    'wheel',
                    '-v',
                    '--no-deps',
                    '--no-build-isolation',
                    '-w',
                    str(tmp / 'wheel'),
                    str(source),
                ],
                env=env,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            text = log.read_text(errors='replace')
            errors = [line for line in text.splitlines() if ' error: ' in line]
            sys.stderr.write('\n'.join(errors[:5]) + '\n' if errors else text[-4000:])
            shutil.copy(log, out_dir / 'build.log')
            raise SystemExit(
                f'mmcv-full {version} could not be built (all of it: {out_dir / "build.log"}); '
                'it needs a compiler for C++17, and a torch whose headers are C++17 too'
            )
        wheel = next((tmp / 'wheel').glob('*.whl'))
        os.replace(wheel, out_dir / wheel.name)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('version', help='version of mmcv-full')
    parser.add_argument('out_dir', type=Path, help='folder the wheel is put in')
    args = parser.parse_args()
    build(args.version, args.out_dir)
