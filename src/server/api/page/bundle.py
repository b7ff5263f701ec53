"""Makes one HTML file of the page's parts, and the headers that go with it:
bundle.py VERSION OUT.html OUT.h index.html style.css SCRIPT.js ...

The scripts become one module, in the order given. The policy names style and script by hash, so
that a browser runs these and nothing else, whatever finds its way into the page."""
import base64
import hashlib
import sys


def digest(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    version, page_path, header_path, index, style, *scripts = sys.argv[1:]
    style = read(style)
    script = "\n" + "\n".join(read(path) for path in scripts)
    page = read(index).replace("@VERSION@", version)
    for mark, text in (("/* style.css */", style), ("/* scripts */", script)):
        if page.count(mark) != 1:
            sys.exit(f"{index}: found {mark} {page.count(mark)} times, expected once")
        page = page.replace(mark, text)
    policy = "; ".join([
        "default-src 'none'", f"script-src 'sha256-{digest(script)}'", f"style-src 'sha256-{digest(style)}'",
        "img-src data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'"])
    with open(page_path, "w", encoding="utf-8") as out:
        out.write(page)
    with open(header_path, "w", encoding="ascii") as out:
        out.write("/* Made by page/bundle.py. */\n")
        out.write(f'#define PAGE_POLICY "{policy}"\n')
        out.write(f'#define PAGE_TAG "\\"{hashlib.sha256(page.encode()).hexdigest()[:32]}\\""\n')


main()
