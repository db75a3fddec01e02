"""The part of a Markdown file that a bench writes; what stands around it is written by hand."""
import sys


def replace(file, name, text):
    """Replaces what stands between the lines `<!-- begin: NAME -->` and `<!-- end: NAME -->`."""
    old, begin, end = file.read_text(), f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->\n"
    if begin not in old or end not in old:
        sys.exit(f"{file}: expected the lines {begin.strip()} and {end.strip()}")
    file.write_text(old[:old.index(begin)] + begin + text + old[old.index(end):])
