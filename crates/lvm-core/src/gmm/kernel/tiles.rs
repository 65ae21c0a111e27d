//! Rows in the order in which the loops read them.

use crate::simd::Scratch;

/// Rows of a tile: eight of the widest vectors.
pub(super) const TILE: usize = 64;

/// The cells of a block.
#[derive(Clone, Copy)]
pub(super) enum Cells<'a> {
    /// Column after column.
    ByColumn(&'a [f64]),
    /// Row after row.
    ByRow(&'a [f64]),
}

/// Rows of `dim` numbers to columns of [`TILE`], eight by eight; the last row stands for those that are missing.
fn transpose(rows: &[f64], dim: usize, tile: &mut [f64]) {
    const SIDE: usize = 8;
    let last = rows.len() / dim - 1;
    let whole = dim - dim % SIDE;
    for i in (0..TILE).step_by(SIDE) {
        let lines: [&[f64]; SIDE] = std::array::from_fn(|r| &rows[(i + r).min(last) * dim..][..dim]);
        for j in (0..whole).step_by(SIDE) {
            // invariant: eight numbers are cut out
            let cells: [&[f64; SIDE]; SIDE] = std::array::from_fn(|r| lines[r][j..][..SIDE].try_into().expect("eight numbers"));
            for c in 0..SIDE {
                let out = &mut tile[(j + c) * TILE + i..][..SIDE];
                (0..SIDE).for_each(|r| out[r] = cells[r][c]);
            }
        }
        for j in whole..dim {
            (0..SIDE).for_each(|r| tile[j * TILE + i + r] = lines[r][j]);
        }
    }
}

/// Columns of `rows` numbers to rows of `dim`.
pub(super) fn by_row(columns: &[f64], rows: usize, dim: usize, out: &mut Vec<f64>) {
    out.resize(rows * dim, 0.0);
    for (i, row) in out.chunks_exact_mut(dim).enumerate() {
        row.iter_mut().zip(columns.chunks_exact(rows)).for_each(|(v, column)| *v = column[i]);
    }
}

/// The rows of a block, cut into tiles of [`TILE`] rows; a tile holds its columns one after the other, (D, 64).
///
/// Rows that fill up the last tile repeat the last row, so that nothing overflows there; their weight is 0.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    dim: usize,
    x: Scratch,
    weights: Scratch,
}

impl Tiles {
    /// Loads `rows` rows.
    pub(super) fn load(&mut self, cells: Cells<'_>, rows: usize, dim: usize, weights: Option<&[f64]>) {
        self.dim = dim;
        let padded = rows.next_multiple_of(TILE);
        self.x.resize(padded * dim);
        self.weights.resize(padded);
        for (t, tile) in self.x.get_mut().chunks_exact_mut(TILE * dim).enumerate() {
            let kept = TILE.min(rows - t * TILE);
            match cells {
                Cells::ByColumn(x) => {
                    for (j, out) in tile.chunks_exact_mut(TILE).enumerate() {
                        let column = &x[j * rows + t * TILE..][..kept];
                        out[..kept].copy_from_slice(column);
                        out[kept..].fill(column[kept - 1]);
                    }
                }
                Cells::ByRow(x) => transpose(&x[t * TILE * dim..][..kept * dim], dim, tile),
            }
        }
        let w = self.weights.get_mut();
        match weights {
            Some(weights) => w[..rows].copy_from_slice(weights),
            None => w[..rows].fill(1.0),
        }
        w[rows..].fill(0.0);
    }

    /// The tiles.
    pub(super) fn iter(&self) -> std::slice::ChunksExact<'_, f64> {
        self.x.get().chunks_exact(TILE * self.dim)
    }

    /// All tiles, one after the other.
    pub(super) fn get(&self) -> &[f64] {
        self.x.get()
    }

    /// Row weights, 0 for rows that are not there.
    pub(super) fn weights(&self) -> &[f64] {
        self.weights.get()
    }

    /// Tiles in this block.
    pub(super) fn len(&self) -> usize {
        self.weights.get().len() / TILE
    }
}
