"""What a file of web platform tests says about itself."""
import re


def directives(source):
    """[(name, value)] of the `// META:` lines of a script."""
    return re.findall(r"^//\s*META:\s*(\w+)=(.*?)\s*$", source, re.M)


def find_script(suite, test, name):
    """The file that a test calls `name`."""
    path = suite / name.lstrip("/") if name.startswith("/") else test.parent / name
    if path.name == "WebIDLParser.js":  # wptserve's name for it
        path = suite / "resources/webidl2/lib/webidl2.js"
    return path


def scripts_of(suite, test, source):
    """The META: script= files of a test, as paths."""
    for key, value in directives(source):
        if key == "script" and not value.endswith(("testdriver.js", "testdriver-vendor.js")):
            yield find_script(suite, test, value)
