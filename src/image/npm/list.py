import json, os

found = []


def package(location):
    name = version = ""
    try:
        with open("/" + location + "/package.json", encoding="utf-8-sig") as file:
            said = json.load(file)
        name, version = str(said.get("name")), str(said.get("version"))
    except (OSError, ValueError, AttributeError):
        pass
    found.append([location, name, version])
    if not os.path.islink("/" + location):
        folder(location + "/node_modules")


def folder(location):
    if not os.path.isdir("/" + location):
        return
    for name in sorted(os.listdir("/" + location)):
        place = location + "/" + name
        if name.startswith("@") and os.path.isdir("/" + place):
            for scoped in sorted(os.listdir("/" + place)):
                package(place + "/" + scoped)
        elif not name.startswith("."):
            package(place)


folder("node_modules")
print(json.dumps(found))
