"""Which ray-tracing backend runs, and which libLLVM it gets.

Dr.Jit compiles its CPU kernels with a libLLVM that it finds by itself. LLVM 15 and 16 abort the
process on CPUs with AVX-512, and TensorFlow exports LLVM symbols of its own to the whole process,
which any libLLVM opened later without RTLD_DEEPBIND binds to and crashes. So the library is chosen,
checked and opened here before Dr.Jit is imported.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from twin.errors import BackendError

# The inside of these packages is used (`twin.trace.solver`), so other releases are refused.
PINS = {"sionna-rt": "2.2.0", "mitsuba": "3.9.1", "drjit": "1.5.0"}

OLDEST_LLVM = 19
LLVM_VARIABLE = "DRJIT_LIBLLVM_PATH"
BACKEND_VARIABLE = "TWIN_BACKEND"

_VARIANTS = {"llvm": "llvm_ad_mono_polarized", "cuda": "cuda_ad_mono_polarized"}
_SYSTEM_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
_CURE = (
    f"Install LLVM {OLDEST_LLVM} or newer (`pip install karellen-llvm-core` puts one into this "
    f"environment) or set {LLVM_VARIABLE} to its libLLVM.so"
)
_log = logging.getLogger("twin")

# A closed handle would let the library go before Dr.Jit opens it.
_open_libraries: dict[str, ctypes.CDLL] = {}


@dataclass(frozen=True)
class LibLLVM:
    """A libLLVM on disk: where, its major version (0 where it cannot be told), and who named it."""

    path: Path
    major: int
    origin: str


@dataclass(frozen=True)
class BackendInfo:
    """The backend in use.

    Args:
        variant: Mitsuba variant.
        reason: why this one.
        llvm_path: libLLVM given to Dr.Jit; empty where the GPU is used.
        llvm_version: its major version; 0 where the GPU is used.
        devices: names of the devices that trace.
        versions: of the pinned packages.
    """

    variant: str
    reason: str
    llvm_path: str
    llvm_version: int
    devices: tuple[str, ...]
    versions: dict[str, str]


def check_pins() -> dict[str, str]:
    """Versions of the pinned packages.

    Raises:
        BackendError: one is missing or is another release; names all of them.
    """
    found: dict[str, str] = {}
    wrong = []
    for name, pin in PINS.items():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
        if found[name] != pin:
            wrong.append(f"{name}: expected {pin}, found {found[name]}")
    if wrong:
        cure = " ".join(f"'{name}=={pin}'" for name, pin in PINS.items())
        raise BackendError("; ".join(wrong) + f". Run `pip install {cure}`")
    return found


def find_libllvm() -> LibLLVM:
    """The libLLVM to use, read without handing it to Dr.Jit.

    The one named by DRJIT_LIBLLVM_PATH, else the newest in the environment's `lib` folder, else the
    newest in the system's library folders; one older than `OLDEST_LLVM` only where there is no
    other.

    Raises:
        BackendError: none found.
    """
    named = os.environ.get(LLVM_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise BackendError(f"{LLVM_VARIABLE}: expected a library, found no file {named}")
        return LibLLVM(path, libllvm_major(path), LLVM_VARIABLE)
    best: LibLLVM | None = None
    folders = ((f"{sys.prefix}/lib",), _SYSTEM_FOLDERS)
    for origin, places in zip(("the environment", "the system"), folders, strict=True):
        found = {
            path.resolve() for folder in places for path in Path(folder).glob("libLLVM[-.]*so*")
        }
        if found:
            newest = max(found, key=lambda path: (_version_in_name(path), str(path)))
            library = LibLLVM(newest, libllvm_major(newest), origin)
            if library.major >= OLDEST_LLVM:
                return library
            best = best or library
    if best is None:
        raise BackendError(f"no libLLVM found for ray tracing on the CPU. {_CURE}")
    return best


def _version_in_name(path: Path) -> tuple[int, ...]:
    match = re.match(r"libLLVM(?:-|\.so\.)(\d+(?:\.\d+)*)", path.name)
    return tuple(int(part) for part in match.group(1).split(".")) if match else (0,)


def libllvm_major(path: Path) -> int:
    """Major version a libLLVM reports of itself, else the one in its file name, else 0.

    Raises:
        BackendError: the file cannot be opened as a library.
    """
    real = str(path.resolve())
    # DEEPBIND: the library's own symbols win over those TensorFlow has put into the process.
    mode = os.RTLD_NOW | os.RTLD_LOCAL | getattr(os, "RTLD_DEEPBIND", 0)
    try:
        library = _open_libraries.setdefault(real, ctypes.CDLL(real, mode=mode))
    except OSError as error:
        raise BackendError(f"{path}: expected a libLLVM, found: {error}. {_CURE}") from error
    try:
        get_version = library.LLVMGetVersion  # since LLVM 16
    except AttributeError:
        return _version_in_name(path.resolve())[0]
    parts = [ctypes.c_uint() for _ in range(3)]
    get_version(*(ctypes.byref(part) for part in parts))
    return parts[0].value


def use_libllvm() -> LibLLVM:
    """Choose a libLLVM, open it, and point Dr.Jit at it; before Dr.Jit is imported.

    Raises:
        BackendError: none, unreadable, or older than `OLDEST_LLVM`.
    """
    library = find_libllvm()
    if library.major < OLDEST_LLVM:
        version = f"LLVM {library.major}" if library.major else "an LLVM of unknown version"
        raise BackendError(
            f"{library.path} (from {library.origin}): expected LLVM {OLDEST_LLVM} or newer, found "
            f"{version}. Older ones abort the process while compiling ray-tracing kernels. {_CURE}"
        )
    os.environ[LLVM_VARIABLE] = str(library.path)
    return library


@functools.cache
def prepare() -> BackendInfo:
    """Choose the backend and set the Mitsuba variant; call before importing `sionna.rt`.

    TWIN_BACKEND = `auto` (default: the GPU if one works, else the CPU), `llvm` (CPU) or `cuda`
    (GPU; falls back to the CPU with a warning).

    Raises:
        BackendError: wrong versions, no usable libLLVM, or an unknown TWIN_BACKEND.
    """
    versions = check_pins()
    wish = os.environ.get(BACKEND_VARIABLE, "auto") or "auto"
    if wish not in ("auto", *_VARIANTS):
        raise BackendError(f"{BACKEND_VARIABLE}: expected auto, llvm or cuda, found {wish}")
    trouble = "asked for" if wish == "llvm" else ""
    devices = () if trouble else cuda_devices()
    if not trouble and not devices:
        trouble = "no CUDA device"
    # Dr.Jit loads a libLLVM for the GPU as well when it finds one. Without one it can do; a harmful
    # one that the user named is refused all the same.
    named = bool(os.environ.get(LLVM_VARIABLE))
    library = _libllvm_or_none(required=bool(trouble) or named)
    import mitsuba as mi

    if not trouble:
        trouble = _try_cuda()
        if not trouble:
            reason = f"CUDA device found ({BACKEND_VARIABLE}={wish})"
            return BackendInfo(_VARIANTS["cuda"], reason, "", 0, devices, versions)
    if wish == "cuda":
        text = "CUDA was asked for (%s=cuda): %s; tracing on the CPU"
        _log.warning(text, BACKEND_VARIABLE, trouble)
    library = library or use_libllvm()
    try:
        mi.set_variant(_VARIANTS["llvm"])
    except ImportError as error:
        raise BackendError(f"the CPU backend does not load: {error}. {_CURE}") from error
    reason = f"CPU: {trouble} ({BACKEND_VARIABLE}={wish}); libLLVM from {library.origin}"
    return BackendInfo(
        _VARIANTS["llvm"], reason, str(library.path), library.major, (_cpu_name(),), versions
    )


def _libllvm_or_none(required: bool) -> LibLLVM | None:
    try:
        return use_libllvm()
    except BackendError:
        if required:
            raise
        return None


def _try_cuda() -> str:
    """Set the CUDA variant and trace one ray; what went wrong, or nothing."""
    import mitsuba as mi

    try:
        mi.set_variant(_VARIANTS["cuda"])
        scene = mi.load_dict({"type": "scene", "shape": {"type": "rectangle"}})
        hit = scene.ray_test(mi.Ray3f(mi.Point3f(0, 0, 1), mi.Vector3f(0, 0, -1)))
        return "" if bool(hit[0]) else "the CUDA self-test missed its target"
    except (ImportError, RuntimeError) as error:
        return f"CUDA or OptiX does not work ({' '.join(str(error).split())[:200]})"


def cuda_devices() -> tuple[str, ...]:
    """Names of the CUDA devices that the driver reports; empty without driver or device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    names = []
    for index in range(count.value):
        text = ctypes.create_string_buffer(128)
        if driver.cuDeviceGetName(text, len(text), index) == 0:
            names.append(text.value.decode(errors="replace"))
    return tuple(names)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "CPU"


def describe() -> BackendInfo:
    """The backend in use, chosen on the first call; see `prepare`."""
    return prepare()
