//! Bad records and bad arguments: each is named, and nothing else is lost.

use super::{import, imported};
use crate::kit::{exit, on_directory, run, scratch_dir};
use std::fs;
use std::path::Path;

/// Bad records of each form, with what is said of them.
#[test]
fn each_bad_record_is_named_and_all_others_are_counted() {
    let json = &["--input-format", "jsonl", "--id", "/id", "--word", "/w/0"][..];
    let table = &[
        "--input-format",
        "csv",
        "--id",
        "column:id",
        "--word",
        "column:w",
    ][..];
    let fields = &[
        "--input-format",
        "fields",
        "--id",
        "field:1",
        "--word",
        "field:3",
    ][..];
    let pattern = &[
        "--regex",
        "^(?<a>x)?(?<b>y+)$",
        "--id",
        "group:b",
        "--word",
        "group:a",
    ][..];
    let long = "z".repeat(513);
    let long_id = format!("{{\"id\":\"{long}\",\"w\":[\"w\"]}}");
    for (arguments, bad, reason) in [
        (json, &b"nonsense"[..], "not JSON"),
        (json, b"{\"id\":\"a\",\"w\":[\"w\"]", "not JSON: EOF"),
        (json, b"{\"id\":\"a\",\"w\":[\"w\"]}}", "not JSON: trailing"),
        (json, b"{\"id\":\"\xff\",\"w\":[\"w\"]}", "not UTF-8"),
        (json, b"{\"w\":[\"w\"]}", "no /id"),
        (json, b"{\"id\":\"a\",\"w\":[]}", "no /w/0"),
        (json, b"{\"id\":\"a\",\"w\":\"w\"}", "no /w/0"),
        (json, b"{\"id\":null,\"w\":[\"w\"]}", "/id is null"),
        (
            json,
            b"{\"id\":1.5,\"w\":[\"w\"]}",
            "/id is a number that is no integer",
        ),
        (json, b"{\"id\":{},\"w\":[\"w\"]}", "/id is an object"),
        (
            json,
            b"{\"id\":\"a\",\"w\":[true]}",
            "/w/0 is true or false",
        ),
        (
            json,
            b"{\"id\":\"\\ud800\",\"w\":[\"w\"]}",
            "lone surrogate",
        ),
        (
            json,
            b"{\"id\":\"a\",\"id\":\"b\",\"w\":[\"w\"]}",
            "/id is there more than once",
        ),
        (json, b"{\"id\":\"\",\"w\":[\"w\"]}", "event_id is empty"),
        (json, long_id.as_bytes(), "event_id has 513 bytes"),
        (
            table,
            b"a",
            "its number of fields is 1, and that of the header ",
        ),
        (table, b"a,b,", "word is empty"),
        (table, b"a,b,\xff", "column w is not UTF-8"),
        (fields, b"a b", "no field 3"),
        (pattern, b"z", "the pattern does not match"),
        (pattern, b"yy", "group a matches nothing"),
    ] {
        let good: &[&[u8]] = match arguments {
            _ if arguments == json => &[
                b"{\"id\":\"g1\",\"w\":[\"w\"]}",
                b"{\"id\":2,\"w\":[\"w\"]}",
            ],
            _ if arguments == table => &[b"id,x,w\ng1,x,w", b"g2,x,w"],
            _ if arguments == fields => &[b"g1 x w", b"g2 x w"],
            _ => &[b"xy", b"xyyy"],
        };
        let home = scratch_dir();
        let text = [good[0], b"\n", bad, b"\n", good[1], b"\n"].concat();
        let summary = imported(home.path(), arguments, &text, exit::REFUSED);
        let found = summary.first_skipped.expect("one is skipped");
        assert!(found.reason.contains(reason), "{}", found.reason);
        let line = good[0].iter().filter(|&&byte| byte == b'\n').count() as u64 + 2;
        assert_eq!(found.line, line, "{reason}");
        assert_eq!((summary.new, summary.skipped), (2, 1), "{reason}");
        let accepted = [arguments, &["--skip-bad", "1"]].concat();
        assert_eq!(imported(home.path(), &accepted, &text, 0).seen_before, 2);
        let in_words = import(home.path(), arguments, &text)
            .expect_status(exit::REFUSED)
            .stderr;
        let told = format!("1 skipped (first: line {line}: {}", found.reason);
        assert!(in_words.contains(&told), "{in_words}");
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused_before_anything_is_made() {
    let home = scratch_dir();
    for name in ["a.csv", "a.jsonl", "a.log"] {
        fs::write(home.path().join(name), "id,w,w\n1,a,b\n").expect("there is room");
    }
    for (arguments, cure) in [
        (&["a.csv", "--word", "column:w"][..], "--id-by content"),
        (&["a.csv", "--id", "column:id"], "--word SELECTOR"),
        (
            &["a.csv", "--id", "/id", "--word", "column:w"],
            "/id is not column:NAME",
        ),
        (
            &[
                "a.csv",
                "--no-header",
                "--id",
                "column:id",
                "--word",
                "field:2",
            ],
            "column:id is not field:N",
        ),
        (
            &["a.jsonl", "--id", "field:1", "--word", "/w"],
            "field:1 is not /POINTER",
        ),
        (
            &["a.log", "--id", "group:a", "--word", "field:1"],
            "--input-format",
        ),
        (
            &["a.log", "--id", "field:1", "--word", "/w"],
            "/w is not field:N",
        ),
        (
            &[
                "a.log", "--regex", "(?<a>.)", "--id", "group:b", "--word", "group:a",
            ],
            "no group named b",
        ),
        (
            &[
                "a.log", "--regex", "(?<a>.)", "--id", "field:1", "--word", "group:a",
            ],
            "field:1 is not group:NAME",
        ),
        (
            &["a.log", "--input-format", "words", "--word", "field:1"],
            "neither --id nor --word",
        ),
        (&["--id-by", "offset", "--word", "field:1"], "--source NAME"),
        (
            &["a.log", "a.log", "--id-by", "offset", "--word", "field:1"],
            "both named",
        ),
    ] {
        let told = import(home.path(), arguments, "").expect_refusal(exit::USAGE);
        assert!(told.contains(cure), "{arguments:?}: {told}");
        assert!(!home.path().join("state").exists(), "{arguments:?}");
    }
    for arguments in [
        &["a.csv", "--id", "id", "--word", "column:w"][..],
        &["a.csv", "--id", "field:0", "--word", "column:w"],
        &[
            "a.log", "--regex", "(", "--id", "group:a", "--word", "group:a",
        ],
        &[
            "a.log", "--id", "field:1", "--id-by", "content", "--word", "field:1",
        ],
    ] {
        let finished = import(home.path(), arguments, "");
        assert_eq!(finished.code(), Some(exit::USAGE), "{arguments:?}");
    }
    let twice = ["a.csv", "--id", "column:id", "--word", "column:w"];
    let told = import(home.path(), &twice, "")
        .expect_status(exit::USAGE)
        .stderr;
    assert!(
        told.contains("fields 2 and 3 are both named \"w\""),
        "{told}"
    );
    let none = ["a.csv", "--id", "column:no", "--word", "field:2"];
    let told = import(home.path(), &none, "")
        .expect_status(exit::USAGE)
        .stderr;
    assert!(told.contains("there are id, w, w"), "{told}");
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_the_others_are_counted() {
    let home = scratch_dir();
    let path = |name: &str| home.path().join(name);
    fs::write(path("a.log"), "a x\n").expect("there is room");
    fs::write(path("z.log"), "b x\n").expect("there is room");
    fs::write(path("broken.gz"), b"\x1f\x8bnothing").expect("there is room");
    fs::write(path("other.xz"), b"\xfd7zXZ\0\0").expect("there is room");
    fs::write(path("other.bz2"), b"BZh91AY&SY").expect("there is room");
    let files = [
        "a.log",
        "missing",
        "broken.gz",
        "other.xz",
        "other.bz2",
        "z.log",
    ];
    let options = [
        "--id-by",
        "content",
        "--input-format",
        "fields",
        "--word",
        "field:2",
    ];
    let arguments = [&options[..], &files].concat();
    let finished = import(home.path(), &arguments, "").expect_status(exit::INPUT_OR_OUTPUT);
    for told in [
        "a.log: 1 line, 1 new",
        "z.log: 1 line, 1 new",
        "opening missing",
        "reading broken.gz: unexpected end of file",
        "with xz, and only gzip and zstd are known; decompress it: `xz -dc",
        "with bzip2, and",
    ] {
        assert!(
            finished.stderr.contains(told),
            "{told}: {}",
            finished.stderr
        );
    }
    assert_eq!(
        imported(
            home.path(),
            &[&options[..], &["a.log", "z.log"]].concat(),
            "",
            0
        )
        .new,
        0
    );
    // No state is made if there is nothing to count.
    let mut command = on_directory("import", Path::new("new"), &options);
    command
        .current_dir(home.path())
        .args(["missing", "not there"]);
    run(&mut command, "").expect_refusal(exit::INPUT_OR_OUTPUT);
    assert!(!path("new").exists());
}

/// Blank lines, CRLF and fields of several lines: the number is of the line where a row begins.
#[test]
fn a_bad_row_of_a_table_is_named_by_the_line_where_it_begins() {
    let home = scratch_dir();
    let arguments = [
        "--id",
        "column:id",
        "--word",
        "column:w",
        "--input-format",
        "csv",
    ];
    for (table, line) in [
        ("id,w\n\n\n\n1\n", 5),
        ("id,w\r\n2,x\r\n1\r\n", 3),
        ("id,w\n2,x\n1\n", 3),
        ("id,w\n2,\"a\nb\"\n1\n", 4),
        ("id,w\r\n2,\"a\r\nb\"\r\n\r\n1\r\n", 5),
    ] {
        let summary = imported(home.path(), &arguments, table, exit::REFUSED);
        let first = summary.first_skipped.expect("there is one");
        assert_eq!(first.line, line, "{table:?}");
    }
}
