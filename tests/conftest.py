from browser import chromium, lab, lab_page, page  # noqa: F401
