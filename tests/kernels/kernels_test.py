#!/usr/bin/python3
"""The kernel tests, under kernels that people have: each is booted by QEMU's plain emulation over
this host's own files, and runs record_test there.

    kernels_test.py SUITE HOOK[,HOOK...]    a Debian suite whose kernel is wanted; the hooks for
                                            capability checks that it must offer, the best first

PARE_BUILD names the build directory."""
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PARE_BUILD", ROOT / "build"))
MODULES = ("virtio_pci", "9p", "9pnet_virtio", "overlay", "bridge")
# Without Docker's tests, and without those that take minutes under emulation and compare with
# strace, or count by the thousand, what no kernel changes; and without the one that takes memory
# away, which kernels before 6.4 give to a program all the same (GFP_ATOMIC may exceed a limit).
TESTS = ("*-DockerTest.*:StraceServersTest.*:StraceTest.*:OverflowTest.Ten*:FilesTest.Two*:"
         "LossTest.FactsBeyond*:LossTest.Programs*:LossTest.TasksWithoutState")
LIMIT = int(os.environ.get("PARE_KERNELS_LIMIT", "900"))  # seconds


def archive(entries):
    """A cpio archive (newc: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = bytearray()
    for number, (name, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def modules(kernel, version):
    """The modules that the guest's root needs, each after those that it depends on."""
    files = {}
    for path in (kernel / "lib/modules" / version).rglob("*.ko*"):
        files[path.name.split(".")[0].replace("-", "_")] = path
    order = {}

    def add(name):
        if name in order or name not in files:  # built in
            return
        data = files[name].read_bytes()
        if files[name].suffix == ".xz":
            data = lzma.decompress(data)
        at = data.find(b"\0depends=")
        for other in data[at + 9:data.find(b"\0", at + 9)].decode().split(","):
            add(other.replace("-", "_"))
        order[name] = data

    for name in MODULES:
        add(name)
    return order


def initramfs(kernel, version):
    directory, program = 0o040755, 0o100755
    loaded = modules(kernel, version)
    entries = [(name, directory, b"") for name in ("bin", "modules")]
    entries += [("bin/busybox", program, pathlib.Path("/bin/busybox").read_bytes()),
                ("init", program, (ROOT / "tests/kernels/guest_init").read_bytes()),
                ("modules/order", 0o100644, "".join(f"{name}\n" for name in loaded).encode())]
    return archive(entries + [(f"modules/{name}", 0o100644, data) for name, data in loaded.items()])


def boot(kernel, version, work):
    """One thread emulates both CPUs. With one each, a CPU may go on executing a breakpoint that the
    kernel has long replaced (text_poke_bp(): tracepoints are switched so), until the end of time; it
    is slower besides. A CPU that is stuck all the same ends the guest, and the console says where."""
    (work / "initramfs").write_bytes(initramfs(kernel, version))
    share = "local,security_model=none,multidevs=remap"
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max,la57=off,pku=off",
        "-smp", "2", "-m", "2G", "-nodefaults", "-no-user-config", "-display", "none",
        "-no-reboot", "-serial", "stdio", "-kernel", kernel / "vmlinuz", "-initrd", work / "initramfs",
        "-append", "console=ttyS0 loglevel=5 panic=-1 mitigations=off nokaslr "
        "softlockup_panic=1 softlockup_all_cpu_backtrace=1 watchdog_thresh=30",
        "-fsdev", f"{share},id=host,path=/,readonly=on",
        "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        "-fsdev", f"{share},id=results,path={work / 'results'}",
        "-device", "virtio-9p-pci,fsdev=results,mount_tag=results"]
    with open(work / "console", "wb") as console:
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console,
                                 stderr=subprocess.STDOUT)
        try:
            guest.wait(LIMIT)
        except subprocess.TimeoutExpired:
            print(f"the guest did not end within {LIMIT} s")
        finally:
            guest.kill()
            guest.wait()


def compiled_programs():
    """The tests' little C programs, compiled by a run on this host: a compiler is slow in the
    guest. Whether the tests pass here is another test's question."""
    programs, tests = BUILD / "programs", BUILD / "bin/record_test"
    done = programs / "complete"
    if not done.exists() or done.stat().st_mtime < tests.stat().st_mtime:
        programs.mkdir(exist_ok=True)
        subprocess.run([tests, "--gtest_filter=" + TESTS], stdout=subprocess.DEVNULL,
                       env=dict(os.environ, PARE_PROGRAMS=str(programs)))
        done.touch()
    return programs


def run(suite, hooks):
    for path in (ROOT, BUILD):
        if path.resolve().is_relative_to("/tmp"):
            print(f"{path}: the guest has a /tmp of its own; clone pare elsewhere for this test")
            return False
    kernel = pathlib.Path(subprocess.run([ROOT / "tests/support/debian_kernel", suite], check=True,
                                         stdout=subprocess.PIPE, text=True).stdout.strip())
    version = (kernel / "version").read_text().strip()
    with tempfile.TemporaryDirectory(prefix="pare-kernels-") as name:
        work = pathlib.Path(name)
        results = work / "results"
        results.mkdir()
        tests = os.environ.get("PARE_KERNELS_FILTER", TESTS)
        (results / "job").write_text(f"""
            uname -r
            export PARE_MUST_RUN=1 PARE_PROGRAMS={compiled_programs()} PARE_EXPECT_HOOKS={hooks}
            exec {BUILD}/bin/record_test --gtest_filter='{tests}'\n""")
        start = time.monotonic()
        boot(kernel, version, work)
        took = time.monotonic() - start
        code = results / "code"
        ended = code.exists() and code.read_text().strip() == "0"
        output = (results / "output").read_text() if (results / "output").exists() else ""
        print(output)
        if not ended:
            print((work / "console").read_text(errors="replace")[-8000:])
        print(f"{suite}: Linux {version}: {'passed' if ended else 'FAILED'} in {took:.0f} s")
        # A run of no test passes nothing.
        return ended and "[  PASSED  ]" in output and "[  PASSED  ] 0 tests" not in output


sys.exit(0 if run(sys.argv[1], sys.argv[2]) else 1)
