//! Text tables that can't be used: each error says what, where and what to do.

use lvm_data::{Error, ErrorKind, ReadOptions, Table};

fn refuse_with(text: impl AsRef<[u8]>, options: &ReadOptions) -> Error {
    Table::from_bytes("t.csv", text.as_ref(), options).unwrap_err()
}

fn refuse(text: impl AsRef<[u8]>) -> Error {
    refuse_with(text, &ReadOptions::default())
}

fn choose(columns: &[&str]) -> ReadOptions {
    ReadOptions { columns: Some(columns.iter().map(|s| s.to_string()).collect()), ..Default::default() }
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn nothing_in_the_file() {
    for text in ["", "\n", "\r\n\r\n", "  \n", "\u{feff}"] {
        assert!(matches!(refuse(text).kind(), ErrorKind::Empty), "{text:?}");
    }
    assert!(matches!(refuse("a,b\n").kind(), ErrorKind::HeaderOnly));
}

#[test]
fn a_ragged_line_is_named() {
    let error = refuse("a,b\n1,2\n\n3\n5,6\n");
    assert!(matches!(error.kind(), ErrorKind::Ragged { line: 4, expected: 2, found: 1 }), "{error:?}");
    assert!(matches!(refuse("1,2\n3,4,5\n").kind(), ErrorKind::Ragged { line: 2, expected: 2, found: 3 }));
    says(&error, &["t.csv", "line 4", "1 field where", "2"]);
}

#[test]
fn one_typo_does_not_cost_a_column() {
    let error = refuse("a,b\n1,2\n3,4\n5,6o\n7,8\n");
    says(&error, &["line 4", "row 2", "\"b\"", "\"6o\"", "correct"]);
    let ErrorKind::Text { cell, text } = error.kind() else { panic!("{error}") };
    assert_eq!((cell.line, cell.row, cell.column, text.as_str()), (Some(4), 2, 1, "6o"));
}

#[test]
fn a_text_column_that_was_chosen() {
    let error = refuse_with("a,b\n1,x\n2,y\n", &choose(&["a", "b"]));
    says(&error, &["line 2", "row 0", "\"b\"", "\"x\""]);
}

#[test]
fn missing_and_infinite_cells() {
    for marker in ["NA", "NaN", "", "?", "null"] {
        let error = refuse(format!("a,b\n1,2\n3,{marker}\n"));
        assert!(matches!(error.kind(), ErrorKind::MissingCell { .. }), "{marker}: {error}");
        says(&error, &["line 3", "row 1", "\"b\"", "missing"]);
    }
    for text in ["inf", "-inf", "Infinity", "1e999"] {
        let error = refuse(format!("a,b\n1,2\n3,{text}\n"));
        assert!(matches!(error.kind(), ErrorKind::Infinite { .. }), "{text}: {error}");
    }
    // the earliest bad row is the one that is told
    says(&refuse("a,b\n1,NA\nNA,2\n"), &["row 0", "\"b\""]);
}

#[test]
fn decimal_commas() {
    for text in ["a;b\n1,5;2,5\n3,5;4,25\n", "1,5;2,5\n3,5;4,25\n", "a\tb\n1,5\t2\n2,5\t3\n"] {
        let error = refuse(text);
        assert!(matches!(error.kind(), ErrorKind::DecimalComma { .. }), "{text:?}: {error}");
        says(&error, &["1,5", "decimal point"]);
    }
}

#[test]
fn names_that_are_not_there_or_there_twice() {
    says(&refuse_with("a,b\n1,2\n", &choose(&["c"])), &["\"c\"", "\"a\", \"b\""]);
    says(&refuse("a,a\n1,2\n"), &["columns 0 and 1", "\"a\""]);
    says(&refuse_with("a,a,b\n1,2,3\n", &choose(&["a"])), &["columns 0 and 1"]);
    assert!(matches!(refuse_with("a,b\n1,2\n", &choose(&["a", "a"])).kind(), ErrorKind::ColumnTwice { .. }));
    let both = ReadOptions { weights: Some("a".into()), ..choose(&["a"]) };
    assert!(matches!(refuse_with("a,b\n1,2\n", &both).kind(), ErrorKind::ColumnTwice { .. }));
    refuse_with("a,b\n1,2\n", &choose(&[]));
}

#[test]
fn weights_that_are_none() {
    let options = ReadOptions { weights: Some("w".into()), ..Default::default() };
    for weight in ["-1", "NA", "inf", "x", ""] {
        let error = refuse_with(format!("a,w\n1,1\n2,{weight}\n"), &options);
        assert!(matches!(error.kind(), ErrorKind::Weight { .. }), "{weight}: {error}");
        says(&error, &["line 3", "\"w\""]);
    }
    assert!(matches!(refuse_with("a,w\n1,0\n2,0\n", &options).kind(), ErrorKind::NoWeight { .. }));
}

#[test]
fn a_first_line_that_may_be_either() {
    let error = refuse("name,2019,2020\nNorway,1,2\n");
    assert!(matches!(error.kind(), ErrorKind::AmbiguousHeader { .. }), "{error}");
}

#[test]
fn no_numbers_at_all() {
    says(&refuse("a,b\nx,y\nz,w\n"), &["no column holds numbers", "\"a\", \"b\""]);
}

#[test]
fn files_that_are_not_text() {
    says(&refuse(b"\xff\xfea\0,\0b\0\n\0"), &["UTF-8"]);
    says(&refuse(b"a,b\n1,\x002\n"), &["line 2", "UTF-8"]);
    says(&refuse("a,b\n1,\"2\n3,4\n"), &["line 2", "quote"]);
    says(&refuse(b"\xe9,b\n1,2\n"), &["line 1", "header"]);
}

#[test]
fn files_of_another_kind() {
    says(&refuse("{\"a\": [1, 2]}\n"), &["JSON", ".csv"]);
    says(&refuse("[[1, 2], [3, 4]]\n"), &["JSON"]);
    says(&refuse("<!DOCTYPE html>\n<html>\n"), &["web page"]);
    says(&refuse(b"\x50\x01\0\0\0\0\0\0{\"a\":1}"), &["a model file"]);
    says(&refuse("a,b\r1,2\r3,4\r"), &["carriage return"]);
    // a name may begin with a bracket
    assert!(Table::from_bytes("t.csv", b"[a],b\n1,2\n", &ReadOptions::default()).is_ok());
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("xl/workbook.xml", zip::write::SimpleFileOptions::default()).unwrap();
    says(&refuse(zip.finish().unwrap().into_inner()), &["Excel", ".csv"]);
}

#[test]
fn files_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = Table::read(folder.path().join("none.csv"), &ReadOptions::default()).unwrap_err();
    says(&error, &["none.csv", "cannot open"]);
    says(&Table::read(folder.path(), &ReadOptions::default()).unwrap_err(), &["cannot"]);
}

#[test]
fn a_gzip_file_cut_short() {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all("1,2\n".repeat(1000).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let error = refuse(&packed[..packed.len() / 2]);
    assert!(matches!(error.kind(), ErrorKind::Io { action: "read", .. }), "{error}");
}
