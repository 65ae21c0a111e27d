//! Files of the formats that the page's neural lines read: images and counts, small and drawn here.

use crate::harness::Folder;
use flate2::{Compression, write::GzEncoder};
use std::fmt::Write as _;
use std::io::Write;

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// MNIST's format: `n` images of 28 x 28 bytes.
fn idx(n: u32, pixel: impl Fn(u32, u32, u32) -> u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    [0x803, n, 28, 28].iter().for_each(|v: &u32| bytes.extend(v.to_be_bytes()));
    for image in 0..n {
        (0..28).for_each(|i| (0..28).for_each(|j| bytes.push(pixel(image, i, j))));
    }
    packed(&bytes)
}

/// Matrix Market: counts of 30 genes (rows) in 90 cells (columns), from three kinds of cells.
fn counts() -> Vec<u8> {
    let mut entries = String::new();
    let mut n = 0;
    for (cell, gene) in (1..=90).flat_map(|cell| (1..=30).map(move |gene| (cell, gene))) {
        let count = (cell * 7 + gene * gene) % 4 + if gene % 3 == cell % 3 { 6 } else { 0 };
        if count > 0 {
            n += 1;
            writeln!(entries, "{gene} {cell} {count}").unwrap();
        }
    }
    packed(format!("%%MatrixMarket matrix coordinate integer general\n30 90 {n}\n{entries}").as_bytes())
}

/// Adds them to a folder.
pub(crate) fn tables(folder: Folder) -> Folder {
    // a bar that moves down, image by image
    let bar = |image: u32, i: u32, j: u32| i.abs_diff(4 + image % 20) < 3 && (4..24).contains(&(j + image % 3));
    folder
        .with("train-bin-idx3-ubyte.gz", idx(130, |image, i, j| u8::from(bar(image, i, j))))
        .with("train-images-idx3-ubyte.gz", idx(130, |image, i, j| if bar(image, i, j) { 200 + (j % 50) as u8 } else { 3 }))
        .with("genes_by_cells.mtx.gz", counts())
}
