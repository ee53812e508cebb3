#!/usr/bin/env python3
"""Looks at every page of the dashboard, at 1280 and 360 px, light and dark. Usage: screenshots.py DIRECTORY"""

import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import browser
import tree as trees
import verge

PAGES = {"tree": "#/", "events": "#/events", "requests": "#/requests", "insights": "#/insights", "goals": "#/goals",
         "node": None}


def main(out):
    if browser.missing():
        sys.exit(f"no screenshots: {browser.missing()}")
    os.makedirs(out, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="verge-screenshots-")
    tree, looking = trees.DashboardTree(directory), browser.Browser()
    try:
        tree.start()
        print("gathering half a minute of history", flush=True)
        verge.pause(float(os.environ.get("VERGE_SCREENSHOT_HISTORY", "30")))
        tree.fog.kill9()  # so that something is wrong
        verge.wait_until(lambda: tree.edge.admin("/v1/tree").json()["parent"]["state"] == "offline", "the fog is gone")
        for node, pages in ((tree.edge, PAGES), (tree.cloud, {"cloud-tree": "#/", "cloud-insights": "#/insights"})):
            base = f"http://{node.addresses['admin']}/"
            own = f"#/node/{node.status()['node']['id']}"
            for name, fragment in pages.items():
                for width in (1280, 360):
                    for scheme in ("light", "dark"):
                        looking.open(base + (own if fragment is None else fragment), width=width, scheme=scheme)
                        looking.wait("document.querySelector('.link.live') && document.querySelector('footer span')")
                        if name == "events":
                            looking.do("click", what="form button[type=submit]")
                            looking.wait("document.querySelectorAll('.tail li').length > 5")
                            looking.do("click", what="form button[type=button]")
                        if name == "insights":
                            looking.do("fill", what="main input", text="Oslo")
                            looking.do("click", what="main form button")
                            looking.wait("document.querySelector('main tbody tr')")
                        if name.endswith("tree"):
                            looking.wait("document.querySelector('.land')")
                        path = os.path.join(out, f"{name}-{width}-{scheme}.png")
                        looking.do("screenshot", path=path)
                        print(path, flush=True)
        looking.open(f"http://{tree.edge.addresses['admin']}/")
        looking.wait("document.querySelector('.link.live')")
        tree.edge.kill9()
        looking.wait("document.querySelector('.banner')")
        looking.do("screenshot", path=os.path.join(out, "lost-1280-light.png"))
    finally:
        looking.close()
        tree.end()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots")
