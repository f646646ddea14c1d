"""What breaks services, done to ours: killed processes, cut connections, damaged files, hostile and too many requests.

`make torture` runs everything at full size and prints what was measured; `make test` runs small versions.
"""
