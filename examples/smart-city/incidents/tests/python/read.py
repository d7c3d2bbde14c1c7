"""Reads a TAXII 2.1 server with taxii2-client, by all of its requests that read, and prints what it found as JSON."""

import json
import sys

from taxii2client.v21 import Server, as_pages

url, user, password = sys.argv[1:]
server = Server(url, user=user, password=password)
root = server.default
assert [root.url] == [other.url for other in server.api_roots]
[collection] = root.collections
assert collection.can_read and not collection.can_write
pages = list(as_pages(collection.get_objects, per_request=3))
objects = [entry for page in pages for entry in page["objects"]]
manifest = [entry for page in as_pages(collection.get_manifest, per_request=5) for entry in page["objects"]]
incidents = collection.get_objects(type="incident")["objects"]
one = incidents[0]["id"]
versions = collection.object_versions(one)["versions"]
later = collection.get_objects(added_after=manifest[-1]["date_added"])
print(json.dumps({
    "title": root.title, "versions": root.versions, "pages": len(pages), "objects": objects, "manifest": manifest,
    "incidents": incidents, "one": collection.get_object(one)["objects"], "versions_of_one": versions, "later": later,
}))
