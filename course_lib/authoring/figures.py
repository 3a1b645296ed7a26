"""Makes lessons/figures: runs the solved lessons and keeps the pictures of the cells marked `# %% figure="name"`.

    python -m course_lib.authoring.figures 04

A lesson that opens with its own result shows these files. traversal.png, in the README, is a screenshot of lesson 04's
widget in JupyterLab.
"""

import argparse
import base64

from nbclient import NotebookClient

from course_lib.authoring.build import LESSONS, build, sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="?", help='one lesson, "04"; all when left out')
    for source in sources(parser.parse_args().lesson):
        notebook = build(source, solved=True)
        resources = {"metadata": {"path": LESSONS}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
        for cell in notebook.cells:
            if name := cell.metadata.get("figure"):
                pictures = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
                path = LESSONS / "figures" / f"{name}.png"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(base64.b64decode(pictures[-1]))
                print(path)


if __name__ == "__main__":
    main()
