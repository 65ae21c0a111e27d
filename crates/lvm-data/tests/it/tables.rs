//! Text tables that are right, in all the ways in which programs write them.

use lvm_core::rows::Missing;
use lvm_data::{Header, ReadOptions, Result, Separator, SkipReason, Table};
use ndarray::{Array2, array};
use std::io::Write;

fn read(name: &str, text: &str, options: &ReadOptions) -> Result<Table> {
    Table::from_bytes(name, text.as_bytes(), options)
}

fn plain(text: &str) -> Table {
    read("t.csv", text, &ReadOptions::default()).unwrap()
}

fn names(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|s| s.to_string()).collect())
}

fn four() -> Array2<f64> {
    array![[1.0, 2.0], [3.0, 4.0]]
}

#[test]
fn every_separator_line_end_and_quote_gives_the_same_table() {
    for text in [
        "a,b\n1,2\n3,4\n",
        "a,b\r\n1,2\r\n3,4\r\n",
        "a,b\n1,2\n3,4",
        "\u{feff}a,b\n1,2\n3,4\n",
        "a,b\n\n1,2\n\n3,4\n\n\n",
        "\"a\",\"b\"\n\"1\",\"2\"\n\"3\",\"4\"\n",
        "a, b\n1, 2\n 3 ,4 \n",
        "a;b\n1;2\n3;4\n",
        "a\tb\n1\t2\n3\t4\n",
        "a b\n1 2\n3 4\n",
        "  a    b  \n 1.0   2\n 3e0  4 \n",
        "rownames,a,b\nr1,1,2\nr2,3,4\n",
        "\"\",\"a\",\"b\"\n\"1\",1,2\n\"2\",3,4\n",
        "Unnamed: 0,a,b\n0,1,2\n1,3,4\n",
        "a b\nr1 1 2\nr2 3 4\n",
        "a,b,\n1,2,\n3,4,\n",
    ] {
        let table = plain(text);
        assert_eq!(table.x, four(), "{text:?}");
        assert_eq!(table.columns, ["a", "b"], "{text:?}");
        assert!(table.header);
    }
}

#[test]
fn without_a_header_columns_are_numbered() {
    for text in ["1,2\n3,4\n", "1 2\n3 4", "1\t2\n3\t4\n", "\u{feff}1;2\n3;4\n"] {
        let table = plain(text);
        assert_eq!((table.x, table.columns, table.header), (four(), vec!["x1".into(), "x2".into()], false), "{text:?}");
    }
    assert_eq!(plain("1\n2\n3\n").x, array![[1.0], [2.0], [3.0]]);
    assert_eq!(plain("7,8,9").x, array![[7.0, 8.0, 9.0]]);
    assert_eq!(plain("height\n1\n2\n").columns, ["height"]);
}

#[test]
fn headers_of_numbers_and_lines_of_both() {
    // pandas writes the numbers of the columns
    let table = plain(",0,1,2\n0,5,6,7\n1,8,9,10\n");
    assert_eq!((table.x, table.columns), (array![[5.0, 6.0, 7.0], [8.0, 9.0, 10.0]], vec!["0".into(), "1".into(), "2".into()]));
    // data, since 5.1 is no name
    let table = plain("5.1,3.5,setosa\n4.9,3.0,setosa\n");
    assert_eq!((table.n_rows(), table.columns.as_slice()), (2, ["x1".to_string(), "x2".to_string()].as_slice()));
    // a header, since there is text above a number
    assert_eq!(plain("150,4,setosa\n5.1,3.5,1\n").n_rows(), 1);
    // told
    let absent = ReadOptions { header: Header::Absent, ..Default::default() };
    assert_eq!(read("t.csv", "1,setosa\n2,virginica\n", &absent).unwrap().x, array![[1.0], [2.0]]);
    let present = ReadOptions { header: Header::Present, ..Default::default() };
    assert_eq!(read("t.csv", "2019,2020\n1,2\n", &present).unwrap().columns, ["2019", "2020"]);
}

#[test]
fn text_columns_are_left_out_by_name_and_kept_as_labels_when_asked() {
    let text = "id,length,species\na7,1.5,setosa\nb9,2.5,\"virginica, wild\"\n";
    let table = plain(text);
    assert_eq!(table.columns, ["length"]);
    let notes: Vec<String> = table.skipped.iter().map(|s| s.to_string()).collect();
    assert_eq!(notes, ["id (text: \"a7\" in line 2)", "species (text: \"setosa\" in line 2)"]);
    let labelled = read("t.csv", text, &ReadOptions { labels: Some("species".into()), ..Default::default() }).unwrap();
    assert_eq!(labelled.labels.unwrap(), ["setosa", "virginica, wild"]);
    assert_eq!(labelled.skipped.len(), 1);
    // more text than numbers is text, too
    assert!(matches!(plain("k,v\na,1\n7,2\nb,3\n").skipped[0].reason, SkipReason::Text { line: 2, row: 0, .. }));
}

#[test]
fn chosen_columns_come_in_the_order_asked_for() {
    let options = ReadOptions { columns: names(&["c", "a"]), ..Default::default() };
    let table = read("t.csv", "a,b,c\n1,x,2\n3,y,4\n", &options).unwrap();
    assert_eq!(table.x, array![[2.0, 1.0], [4.0, 3.0]]);
    assert_eq!(table.columns, ["c", "a"]);
    assert!(table.skipped.is_empty());
    let row_names = ReadOptions { columns: names(&["rownames"]), ..Default::default() };
    assert_eq!(read("t.csv", "rownames,a\n1,5\n2,6\n", &row_names).unwrap().x, array![[1.0], [2.0]]);
    // a name that stands twice does no harm where it is not used
    let options = ReadOptions { columns: names(&["b"]), ..Default::default() };
    assert_eq!(read("t.csv", "a,a,b\n1,2,3\n", &options).unwrap().x, array![[3.0]]);
}

#[test]
fn weights_are_taken_out_of_the_data() {
    let options = ReadOptions { weights: Some("w".into()), ..Default::default() };
    let table = read("t.csv", "a,w,b\n1,0.5,2\nNA,0,oops\n3,2,4\n", &options).unwrap();
    assert_eq!(table.columns, ["a", "b"]);
    assert_eq!(table.weights.unwrap(), array![0.5, 0.0, 2.0]);
    // the row of weight zero is not there, so nothing in it is an error
    assert!(table.x[[1, 0]].is_nan() && table.x[[1, 1]].is_nan());
}

#[test]
fn missing_cells_are_nan_when_they_may_be() {
    let options = ReadOptions { missing: Missing::Integrate, ..Default::default() };
    let table = read("t.csv", "a,b\n1,NA\n,2\n?,null\nNaN,3\n", &options).unwrap();
    let nan = table.x.mapv(f64::is_nan);
    assert_eq!(nan, array![[false, true], [true, false], [true, true], [true, false]]);
    assert_eq!(lvm_core::rows::RowSource::missing(&table), Missing::Integrate);
}

#[test]
fn a_separator_can_be_told() {
    let options = ReadOptions { separator: Some(Separator::Semicolon), ..Default::default() };
    assert_eq!(read("t.csv", "a;b\n1;2\n3;4\n", &options).unwrap().x, four());
}

#[test]
fn gzip_is_known_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.data");
    let mut packed = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::default());
    packed.write_all(b"a,b\n1,2\n3,4\n").unwrap();
    packed.finish().unwrap();
    assert_eq!(Table::read(&path, &ReadOptions::default()).unwrap().x, four());
}

#[test]
fn numbers_are_read_to_the_last_bit() {
    let table = plain("0.1,1e-308,123456789.123456789\n5e-324,1.7976931348623157e308,-0\n");
    let want = array![[0.1, 1e-308, 123456789.12345679], [5e-324, f64::MAX, -0.0]];
    assert!(table.x.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn a_table_longer_than_the_sample_of_the_separator() {
    let mut text = String::from("a,b\n");
    for i in 0..50_000 {
        text.push_str(&format!("{i},{}\n", i * 2));
    }
    let table = plain(&text);
    assert_eq!(table.n_rows(), 50_000);
    assert_eq!(table.x[[49_999, 1]], 99_998.0);
}

#[test]
fn names_and_lines_without_the_table() {
    use lvm_data::{column_names, column_names_of_bytes, line_of_row, line_of_row_in_bytes};
    let options = ReadOptions::default();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    // cells are not looked at, and a choice that makes no sense is not either
    let text = "a,b,kind\n\n1,2,\"x\ny\"\n3,oops,z\n";
    let path = file("t.csv", text.as_bytes());
    let chosen = ReadOptions { columns: Some(vec!["none".into()]), weights: Some("none".into()), ..Default::default() };
    for options in [&options, &chosen] {
        assert_eq!(column_names(&path, options).unwrap(), ["a", "b", "kind"]);
        assert_eq!(column_names_of_bytes("t", text.as_bytes(), options).unwrap(), ["a", "b", "kind"]);
    }
    let lines = |row| line_of_row(&path, &options, row).unwrap();
    assert_eq!((lines(0), lines(1), lines(2)), (Some(3), Some(5), None));
    let bare = b"1 2\n3 4\n5 6\n";
    assert_eq!(line_of_row_in_bytes("t", bare, &options, 0).unwrap(), Some(1));
    assert_eq!(line_of_row_in_bytes("t", bare, &options, 2).unwrap(), Some(3));
    assert_eq!(column_names_of_bytes("t", bare, &options).unwrap(), ["x1", "x2"]);
    let array = crate::numpy::npy("<f8", "False", "(1, 2)", &[0xff; 16]);
    assert_eq!(column_names(file("x.npy", &array), &options).unwrap(), ["x1", "x2"]);
    assert_eq!(line_of_row_in_bytes("x.npy", &array, &options, 0).unwrap(), None);
    let market = b"%%MatrixMarket matrix coordinate real general\n2 3 1\n1 1 5\n";
    assert_eq!(column_names(file("x.mtx", market), &options).unwrap().len(), 3);
    assert!(column_names(folder.path().join("none"), &options).is_err() && column_names_of_bytes("e", b"", &options).is_err());
}

#[test]
fn columns_left_out_are_not_looked_at() {
    let without = |list: &[&str]| ReadOptions { without: list.iter().map(|s| s.to_string()).collect(), ..Default::default() };
    let table = read("t.csv", "a,b,c\n1,oops,2\n3,4,5\n", &without(&["b"])).unwrap();
    assert_eq!((table.columns.as_slice(), table.x), (["a".to_string(), "c".to_string()].as_slice(), array![[1.0, 2.0], [3.0, 5.0]]));
    assert!(table.skipped.is_empty());
    // the second of two columns of one name can't be meant by it
    assert!(read("t.csv", "a,a,c\n1,2,3\n", &without(&["a"])).is_err());
    assert!(read("t.csv", "a,b\n1,2\n", &without(&["a", "b"])).is_err());
    let both = ReadOptions { columns: names(&["a"]), ..without(&["a"]) };
    assert!(read("t.csv", "a,b\n1,2\n", &both).unwrap_err().to_string().contains("both asked for and left out"));
}
