"""Fetches the wheels of a requirements file into a folder, and goes on where it was cut off.

fetch.py REQUIREMENTS FOLDER. A wheel is found on the index that pip is set up with by its SHA-256, lies as NAME.part while it is fetched,
and gets its name once its hash is right. Exit status 2: the network can't be reached; 3: the index has no such file.
"""
import hashlib
import html
import http.client
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

CHUNK = 1 << 20
# tries without a byte more
TRIES = 5
PAUSE = float(os.environ.get("LVM_FETCH_PAUSE", "2"))
BROKEN = (OSError, http.client.HTTPException)


def index() -> str:
    """Where pip looks: as it was told, or its own default."""
    told = os.environ.get("PIP_INDEX_URL")
    if not told:
        asked = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True)
        told = asked.stdout.strip() if asked.returncode == 0 else ""
    if not told:
        try:
            from pip._internal.models.index import PyPI
        except ImportError:
            give_up(3, "this pip does not tell which index it fetches from: set PIP_INDEX_URL")
        told = PyPI.simple_url
    return told.rstrip("/") + "/"


def open_url(url: str, start: int = 0):
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(request, timeout=60)


def find(name: str, sha256: str) -> str:
    """The address of the file with this hash (PEP 503)."""
    page = urllib.parse.urljoin(index(), name + "/")
    try:
        with open_url(page) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        give_up(3, f"{page}: {error}")
    except BROKEN as error:
        give_up(2, f"{page} can't be reached ({getattr(error, 'reason', error)}): is the network there?")
    for link in re.findall(r'href\s*=\s*["\']([^"\']+)', text):
        address, _, fragment = html.unescape(link).partition("#")
        if fragment == f"sha256={sha256}":
            return urllib.parse.urljoin(page, address)
    give_up(3, f"{page} has no file with the SHA-256 {sha256}")


def fetch(url: str, place: pathlib.Path, sha256: str) -> None:
    part = place.with_name(place.name + ".part")
    tries, total = 0, None
    while total is None or part.stat().st_size < total:
        have = part.stat().st_size if part.exists() else 0
        try:
            with open_url(url, have) as answer:
                if answer.status != 206:
                    have = 0
                total = have + int(answer.headers["Content-Length"])
                with open(part, "ab" if have else "wb") as out:
                    while piece := answer.read(CHUNK):
                        out.write(piece)
                        have += len(piece)
                        tries = 0
                        tell(place.name, have, total)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                give_up(3, f"{url}: {error}")
            # nothing behind what is there: all of it is, or it is of something else
            total = have
        except BROKEN as error:
            tries += 1
            if tries >= TRIES:
                give_up(2, f"{url} broke off {tries} times ({getattr(error, 'reason', error)}); {have / 1e6:.0f} MB are kept in {part}")
            time.sleep(PAUSE)
        else:
            if have < total:
                tries += 1
                if tries >= TRIES:
                    give_up(2, f"{url} was cut off {tries} times; {have / 1e6:.0f} MB are kept in {part}")
                time.sleep(PAUSE)
    with open(part, "rb") as whole:
        found = hashlib.file_digest(whole, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else digest(whole)
    if found != sha256:
        part.unlink()
        give_up(3, f"{place.name} has the SHA-256 {found}, not {sha256}; it was thrown away")
    os.replace(part, place)


def digest(file) -> str:
    sum = hashlib.sha256()
    while piece := file.read(CHUNK):
        sum.update(piece)
    return sum.hexdigest()


told: dict = {}


def tell(name: str, have: int, total: int) -> None:
    """Every percent on a terminal, every tenth part elsewhere."""
    step = 1 if sys.stdout.isatty() else 10
    percent = 100 * have // max(total, 1) // step * step
    if told.get(name) == percent:
        return
    told[name] = percent
    line = f"  {name}: {have / 1e6:.1f} of {total / 1e6:.1f} MB, {percent} %"
    print("\r" + line if step == 1 else line, end="\n" if step == 10 or have == total else "", flush=True)


def give_up(status: int, message: str):
    print(message, file=sys.stderr)
    sys.exit(status)


def main() -> None:
    requirements, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for line in pathlib.Path(requirements).read_text().splitlines():
        wanted = re.match(r"([\w.-]+)==\S+ --hash=sha256:([0-9a-f]{64})", line)
        if not wanted:
            continue
        url = find(*wanted.groups())
        place = folder / urllib.parse.unquote(pathlib.PurePosixPath(urllib.parse.urlparse(url).path).name)
        if place.exists():
            print(f"  {place.name}: there already", flush=True)
        else:
            fetch(url, place, wanted[2])


main()
