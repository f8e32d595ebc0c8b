"""One page for people, in a file of its own: plots, tables and reasons, without network and nearly without script.

`content` is what a page holds, as plain values; `page` writes it as HTML.
"""
