"""Programs for a device's own Python (3.8 and newer, standard library only): what it is, and making an environment.

Both are sent as text to `python -c` and print one line of JSON.
"""

from __future__ import annotations

# What wheels have to fit.
PROBE = r"""
import json, platform, sys
try:
    import venv
except ImportError:
    venv = None
print(json.dumps({
    "python": list(sys.version_info[:2]),
    "implementation": sys.implementation.name,
    "machine": platform.machine(),
    "libc": list(platform.libc_ver()),
    "venv": venv is not None,
    "executable": sys.executable,
}))
"""

# Arguments: the device's folder, the archive's sha256, the environment's name.
# Wheels are archives whose root is site-packages; unpacking them needs neither pip nor ensurepip, which Debian splits
# from Python. A venv without pip needs nothing but the module; pip would only be asked to do the same more slowly.
INSTALL = r"""
import compileall, errno, hashlib, json, os, shutil, subprocess, sys, zipfile
root, sha256, name = sys.argv[1:]
final = os.path.join(root, "venvs", name)
python = os.path.join(final, "bin", "python")
mark = os.path.join(final, "edgerig.json")

def tell(**fields):
    print(json.dumps(fields))
    sys.exit(0)

def fits():
    try:
        with open(mark) as stream:
            return json.load(stream)["sha256"] == sha256 and os.access(python, os.X_OK)
    except (OSError, ValueError, KeyError, TypeError):
        return False

def inside(folder, member):
    path = os.path.normpath(os.path.join(folder, member))
    if not path.startswith(folder + os.sep):
        tell(error="refused", message="the wheel names a file outside of the environment: " + member[:200])
    return path

def unpack(wheel, site, prefix):
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            member = entry.filename
            parts = member.split("/", 2)
            if parts[0].endswith(".data"):
                if len(parts) < 3 or parts[1] not in ("purelib", "platlib", "data"):
                    continue
                target = inside(prefix if parts[1] == "data" else site, parts[2] or ".x")
            else:
                target = inside(site, member)
            if member.endswith("/"):
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(entry) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)

def build():
    archive = os.path.join(root, "wheels", sha256 + ".zip")
    if not os.path.exists(archive):
        tell(missing=True)
    digest = hashlib.sha256()
    with open(archive, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        os.unlink(archive)
        tell(missing=True)
    import venv
    fresh = final + ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(os.path.dirname(final), exist_ok=True)
    try:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(fresh)
        site = os.path.join(fresh, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
        with zipfile.ZipFile(archive) as wheels:
            for wheel in wheels.namelist():
                # A file of its own: seeking inside of a member reads it from its beginning each time.
                single = os.path.join(fresh, "one.whl")
                with wheels.open(wheel) as source, open(single, "wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                unpack(single, site, fresh)
                os.unlink(single)
        # The measuring processes write no bytecode: without it each of them would compile numpy anew.
        compileall.compile_dir(site, quiet=2, stripdir=fresh, prependdir=final) if sys.version_info >= (3, 9) else (
            compileall.compile_dir(site, quiet=2))
        with open(os.path.join(fresh, "edgerig.json"), "w") as stream:
            json.dump({"sha256": sha256}, stream)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(fresh, final)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise

if fits():
    tell(python=python, reused=True)
try:
    build()
except OSError as error:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    tell(error="full" if full else "refused", message=str(error)[:300])
except (zipfile.BadZipFile, subprocess.CalledProcessError) as error:
    tell(error="refused", message=str(error)[:300])
tell(python=python, reused=False)
"""
