"""`report.html`: one file with the whole wafer in it, and `wse-emu view`, which shows one run or two side by side.

collect (data.py) → page.json in the run's folder → build.py joins template.html, page.css, js/ and vendor/ with it.
"""
