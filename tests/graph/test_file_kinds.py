"""Whatever a file is that is no STIX 2.1 bundle, the refusal says what was found and what to do."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import zipfile
from typing import Any

import pytest

from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.read import Limits, read_bundle
from intelgraph.graph.stix.rejects import Rejected
from intelgraph.model.errors import IntelGraphError

UUID = "31b940d4-6f7f-459a-80ea-9c1f17b5891b"
MALWARE = {"type": "malware", "spec_version": "2.1", "id": f"malware--{UUID}", "name": "Ivy"}
BUNDLE = json.dumps({"type": "bundle", "id": f"bundle--{UUID}", "objects": [MALWARE]})


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("bundle.json", BUNDLE)
    return target.getvalue()


def told(data: bytes) -> tuple[str, str]:
    with pytest.raises(IntelGraphError) as refused:
        list(read_bundle(BundleSource(io.BytesIO(data)), Limits()))
    return refused.value.denied.code, refused.value.denied.reason


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "code", "found", "remedy"),
    [
        (b"", "not_json", "empty", "written to its end"),
        (b" \n\t ", "not_json", "white space", "written to its end"),
        (gzip.compress(b""), "not_json", "empty", "written to its end"),
        (text([MALWARE]), "not_a_bundle", "list of objects, the first of type 'malware'", '"type":"bundle"'),
        (b"[]", "not_a_bundle", "list with nothing in it", "JSON object"),
        (b"[1,2]", "not_a_bundle", "a JSON list of values", '"type":"bundle"'),
        (text({"objects": [MALWARE], "more": False}), "not_a_bundle", "TAXII", '"type":"bundle"'),
        (text({"id": "x", "objects": [MALWARE]}), "not_a_bundle", "without a type", '"type":"bundle"'),
        (text(MALWARE), "not_a_bundle", "one object of type 'malware'", '"type":"bundle"'),
        (text({"type": "Bundle", "objects": []}), "not_a_bundle", "'Bundle'", "'bundle'"),
        (text({"type": ["bundle"]}), "not_a_bundle", "type is a list", "bundle"),
        (text({"type": 7}), "not_a_bundle", "type is a number", "bundle"),
        (text({"type": None}), "not_a_bundle", "type is null", "bundle"),
        (text({"Event": {"info": "x"}}), "not_a_bundle", "MISP", "misp_stix_converter"),
        (text({"response": [{"Event": {}}]}), "not_a_bundle", "MISP", "misp_stix_converter"),
        (text([{"Event": {}}]), "not_a_bundle", "MISP", "misp_stix_converter"),
        (text({"id": "x", "stix_header": {}, "version": "1.2"}), "not_a_bundle", "STIX 1", "stix2_elevator"),
        (text({"a": 1, "b": 2}), "not_a_bundle", "'a', 'b'", "type 'bundle'"),
        (b"{}", "not_a_bundle", "nothing in it", "type 'bundle'"),
        (b'"bundle"', "not_a_bundle", "a text", "JSON object"),
        (b"null", "not_a_bundle", "null", "JSON object"),
        (b"17", "not_a_bundle", "a number", "JSON object"),
        (
            text({"type": "bundle", "spec_version": "2.0", "objects": []}),
            "wrong_spec_version",
            "STIX '2.0'",
            "stix2_elevator",
        ),
        (
            b'<?xml version="1.0"?>\n<!-- x -->\n<stix:STIX_Package xmlns:stix="http://stix.mitre.org/stix-1">',
            "not_json",
            "STIX 1 (XML",
            "stix2_elevator",
        ),
        (b"\xef\xbb\xbf<ioc id='1'/>", "not_json", "root is ioc", "JSON"),
        (b"<!DOCTYPE html><html><body>Log in", "not_json", "page of HTML", "login"),
        (BUNDLE.encode("utf-16"), "not_json", "UTF-16", "iconv -f UTF-16 -t UTF-8"),
        (BUNDLE.encode("utf-16-le"), "not_json", "UTF-16LE", "iconv"),
        (BUNDLE.encode("utf-16-be"), "not_json", "UTF-16BE", "iconv"),
        (BUNDLE.encode("utf-32"), "not_json", "UTF-32", "iconv"),
        (gzip.compress(BUNDLE.encode("utf-16")), "not_json", "UTF-16", "iconv"),
        (zipped(), "not_json", "zip archive", "unzip"),
        (b"BZh91AY&SY", "not_json", "bzip2", "bzcat"),
        (b"\xfd7zXZ\x00\x00", "not_json", "xz", "xzcat"),
        (b"\x28\xb5\x2f\xfd\x04", "not_json", "zstd", "zstd -dc"),
        (b"x" * 257 + b"ustar", "not_json", "tar archive", "tar -xOf"),
        (gzip.compress(b"x" * 257 + b"ustar"), "not_json", "tar archive", "tar -xOf"),
        (gzip.compress(gzip.compress(BUNDLE.encode())), "bad_gzip", "compressed twice", "zcat"),
        (b"\xef\xbb\xbf" + gzip.compress(BUNDLE.encode()), "bad_gzip", "a byte order mark stands before", "tail -c +4"),
        (b"%PDF-1.7", "not_json", "PDF", "JSON"),
        (b'{"type":"bundle","x":NaN}', "not_json", "NaN is no JSON number", "null"),
        (b'{"type":"bundle","objects":[{"x":[1,-Infinity]}]}', "not_json", "-Infinity is no JSON number", "null"),
        (b'{"type":"bundle","x":nan}', "not_json", "nan is no JSON number", "null"),
        (b'{"type":"bundle","x":None}', "not_json", "None is no JSON value", "null"),
        (b'{"type":"bundle","x":True}', "not_json", "True is no JSON value", "true"),
        (b"{'type':'bundle'}", "not_json", "quoted by '", "instead of"),
        (text(MALWARE) + b"\n" + text(MALWARE), "not_json", "follows the first JSON value", "one JSON object"),
        (BUNDLE[:-9].encode(), "not_json", "ends too early", "written to its end"),
    ],
    ids=map(str, itertools.count()),  # an archive has the time of its making in it
)
def test_the_refusal_names_what_was_found_and_what_to_do(data: bytes, code: str, found: str, remedy: str) -> None:
    said_code, reason = told(data)
    assert said_code == code
    assert found in reason
    assert remedy in reason
    assert "None, not" not in reason


def test_what_a_file_holds_is_not_quoted() -> None:
    assert "secret" not in told(b'{"type":"bundle","x":"secret" secret}')[1]


def test_objects_of_stix_2_0_are_told_from_those_of_2_1() -> None:
    objects = [
        {name: value for name, value in MALWARE.items() if name != "spec_version"},
        MALWARE,
        {"type": "url", "id": f"url--{UUID}", "value": "https://example.org/"},
        {"type": "x-a", "id": f"x-a--{UUID}", "created": "2020-01-01T00:00:00Z"},
        {"type": "relationship", "id": f"relationship--{UUID}", "relationship_type": "uses"},
    ]
    data = text({"type": "bundle", "objects": objects})
    results = list(read_bundle(BundleSource(io.BytesIO(data)), Limits()))
    refused = {one.position: one for one in results if isinstance(one, Rejected)}
    assert sorted(refused) == [0, 3, 4]
    assert {one.code for one in refused.values()} == {"wrong_spec_version"}
    assert "without spec_version is of STIX 2.0" in refused[0].reason
