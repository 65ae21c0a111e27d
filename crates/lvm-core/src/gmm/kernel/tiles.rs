//! Rows in the order in which the loops read them.

use crate::simd::Scratch;

/// Rows of a tile: eight of the widest vectors.
pub(super) const TILE: usize = 64;

/// The rows of a block, cut into tiles of [`TILE`] rows; a tile holds its columns one after the other, (D, 64).
///
/// Rows that fill up the last tile repeat the last row, so that nothing overflows there; their weight is 0.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    dim: usize,
    x: Scratch,
    by_row: Vec<f64>,
    weights: Scratch,
}

impl Tiles {
    /// Loads `rows` rows that stand column by column in `columns`.
    pub(super) fn load(&mut self, columns: &[f64], rows: usize, dim: usize, weights: Option<&[f64]>) {
        self.dim = dim;
        let padded = rows.next_multiple_of(TILE);
        self.x.resize(padded * dim);
        self.weights.resize(padded);
        for (t, tile) in self.x.get_mut().chunks_exact_mut(TILE * dim).enumerate() {
            let kept = TILE.min(rows - t * TILE);
            for (j, out) in tile.chunks_exact_mut(TILE).enumerate() {
                let column = &columns[j * rows + t * TILE..][..kept];
                out[..kept].copy_from_slice(column);
                out[kept..].fill(column[kept - 1]);
            }
        }
        let w = self.weights.get_mut();
        match weights {
            Some(weights) => w[..rows].copy_from_slice(weights),
            None => w[..rows].fill(1.0),
        }
        w[rows..].fill(0.0);
    }

    /// The rows of the block once more, one after the other (B, D), from where they stand column by column.
    pub(super) fn load_rows(&mut self, columns: &[f64], rows: usize) {
        /// Columns at once: of each row they are about a cache line.
        const SIDE: usize = 8;
        let dim = self.dim;
        self.by_row.resize(rows * dim, 0.0);
        for (strip, columns) in columns.chunks(SIDE * rows).enumerate() {
            match columns.len() == SIDE * rows {
                true => {
                    let columns: [&[f64]; SIDE] = std::array::from_fn(|c| &columns[c * rows..(c + 1) * rows]);
                    for (i, row) in self.by_row.chunks_exact_mut(dim).enumerate() {
                        let out = &mut row[strip * SIDE..(strip + 1) * SIDE];
                        (0..SIDE).for_each(|c| out[c] = columns[c][i]);
                    }
                }
                false => {
                    for (c, column) in columns.chunks_exact(rows).enumerate() {
                        self.by_row.chunks_exact_mut(dim).zip(column).for_each(|(row, v)| row[strip * SIDE + c] = *v);
                    }
                }
            }
        }
    }

    /// The rows of [`load_rows`](Self::load_rows).
    pub(super) fn by_row(&self) -> &[f64] {
        &self.by_row
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
