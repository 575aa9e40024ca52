import os, shutil, sys, tarfile

packages = sys.argv[1]
for line in open(packages + "/npm.txt", encoding="ascii"):
    verb, name, location = line.split()
    place = "/" + location
    if verb == "unpack":
        os.makedirs(os.path.dirname(place), exist_ok=True)
        # Fails where something lies already: nothing is ever unpacked over something else.
        os.mkdir(place)
        with tarfile.open(packages + "/npm/" + name, "r:gz") as archive:
            for member in archive:
                # Links and devices are left out, as npm does it: no file can be written through one.
                if not member.isfile():
                    continue
                parts = [part for part in member.name.split("/")[1:] if part not in ("", ".")]
                if not parts or ".." in parts:
                    sys.exit(name + " holds a file called " + ascii(member.name))
                path = os.path.join(place, *parts)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    shutil.copyfileobj(archive.extractfile(member), file)
                os.chmod(path, 0o755 if member.mode & 0o111 else 0o644)
    elif verb == "without":
        if os.path.lexists(place + "/" + name):
            os.unlink(place + "/" + name)
    elif verb == "command":
        os.chmod(place, 0o755)
        os.symlink(place, "/usr/local/bin/" + name)
    else:
        sys.exit("npm.txt says " + ascii(verb))
