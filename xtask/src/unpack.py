"""Unpacks what lvm-deep needs of the wheels in one folder into another: headers, and the libraries for the CPU.

unpack.py WHEELS INTO. The CUDA libraries stay in the wheel: they are of no use without those of NVIDIA, which come with a whole PyTorch.
"""
import pathlib
import sys
import zipfile

ASIDE = ("libtorch_cuda", "libc10_cuda", "libtorch_nvshmem", "libcaffe2_nvrtc", "libtorch_python")


def needed(name: str) -> bool:
    file = name.rsplit("/", 1)[-1]
    if name.startswith("torch/lib/"):
        return not file.startswith(ASIDE)
    if name.startswith("torch/include/"):
        return True
    return name.startswith("nvidia/") and file in ("libcudart.so.13", "libcupti.so.13") or name.startswith(("torch-", "nvidia_")) and "LICENSE" in name


wheels, into = sorted(pathlib.Path(sys.argv[1]).glob("*.whl")), sys.argv[2]
for wheel in wheels:
    with zipfile.ZipFile(wheel) as archive:
        parts = [part for part in archive.infolist() if needed(part.filename)]
        print(f"  {wheel.name}: {len(parts)} files, {sum(part.file_size for part in parts) / 1e6:.0f} MB", flush=True)
        for part in parts:
            archive.extract(part, into)
pathlib.Path(into, "torch", "build-version").write_text("2.11.0\n")
