"""MIG slices in the live loop: which variant serves, which node is cut how, and how one is cut anew without harm."""
