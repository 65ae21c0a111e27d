//! The E-step of one block of rows, tile by tile, and its sums.

use super::centred::{Roots, Scaled, gathered};
use super::gram::{Gram, LANEWISE, Sums as GramSums, stride};
use super::packed::{Packed, Shape};
use super::responsibilities::Responsibilities;
use super::shared::Deviations;
use super::spread::{Moments, Second as MomentSums, SquaredDistances};
use super::tiles::{TILE, Tiles};
use super::triangle::{Keep, Whiten};
use crate::simd::{self, LANES, Scratch, Strips, Weighted};

/// Rows whose sums are taken lane by lane at once.
const CHUNK: usize = 512;

/// Where a block adds its sums; all in row-major order.
pub(super) struct Sums<'a> {
    pub(super) log_likelihood: &'a mut f64,
    pub(super) weight: &'a mut f64,
    /// (K).
    pub(super) counts: &'a mut [f64],
    /// (K, D).
    pub(super) first: &'a mut [f64],
    /// (K, D, D), (D, D), (K, D) or (K).
    pub(super) second: &'a mut [f64],
    /// Tied: (K, K).
    pub(super) overlaps: &'a mut [f64],
}

/// The buffers of one leaf of a sweep.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    tiles: Tiles,
    gamma: Scratch,
    log_p: Scratch,
    centred: Scratch,
    whitened: Scratch,
    v: Scratch,
    roots: Scratch,
    first: Scratch,
    second: Scratch,
    counts: Scratch,
    rows: Vec<u32>,
    kept: Vec<f64>,
    strips: Strips,
}

/// Sums over the lanes of each vector.
fn add_lanes(out: &mut [f64], lanes: &[f64]) {
    for (out, lanes) in out.iter_mut().zip(lanes.chunks_exact(LANES)) {
        *out += lanes.iter().sum::<f64>();
    }
}

impl Workspace {
    /// Squared distances ‖A_k (x_n − μ_k)‖², for spherical covariances ‖x_n − μ_k‖², of a block, tile after tile of (K, 64), in `gamma`.
    pub(super) fn distances(&mut self, packed: &Packed, columns: &[f64], rows: usize, weights: Option<&[f64]>) {
        let (k, d) = (packed.components, packed.dim);
        self.tiles.load(columns, rows, d, weights);
        self.gamma.resize(self.tiles.len() * k * TILE);
        self.centred.resize(d * TILE);
        let (centred, gamma) = (self.centred.get_mut(), self.gamma.get_mut());
        let tiles = || self.tiles.iter().zip(0..);
        match &packed.shape {
            Shape::Full(triangles) => {
                for (k_index, triangle) in triangles.iter().enumerate() {
                    for (tile, t) in tiles() {
                        let out = &mut gamma[(t * k + k_index) * TILE..][..TILE];
                        let centre = &packed.centres[k_index * d..][..d];
                        simd::run(Whiten { triangle, centre, tile, centred, keep: Keep::SquaredNorm(out) });
                    }
                }
            }
            Shape::TiedFar(triangle) => {
                for (tile, out) in self.tiles.iter().zip(gamma.chunks_exact_mut(k * TILE)) {
                    for (out, centre) in out.chunks_exact_mut(TILE).zip(packed.centres.chunks_exact(d)) {
                        simd::run(Whiten { triangle, centre, tile, centred, keep: Keep::SquaredNorm(out) });
                    }
                }
            }
            Shape::Tied { triangle, origin, images } => {
                self.whitened.resize(d * TILE);
                let whitened = self.whitened.get_mut();
                for (tile, out) in self.tiles.iter().zip(gamma.chunks_exact_mut(k * TILE)) {
                    simd::run(Whiten { triangle, centre: origin, tile, centred, keep: Keep::All(whitened) });
                    simd::run(SquaredDistances { centres: images, tile: whitened, out });
                }
            }
            Shape::Diagonal(centres) | Shape::Spherical(centres) => {
                for (tile, out) in self.tiles.iter().zip(gamma.chunks_exact_mut(k * TILE)) {
                    simd::run(SquaredDistances { centres, tile, out });
                }
            }
        }
    }

    /// log π_k + log N_k(x_n) of row `n` of the block, from distances.
    pub(super) fn log_density(&self, packed: &Packed, k: usize, n: usize) -> f64 {
        let distance = self.gamma.get()[(n / TILE * packed.components + k) * TILE + n % TILE];
        packed.log_scale[k] + packed.factor[k] * distance
    }

    /// Adds the E-step of a block; `Err(n)` if row n is so far from all components that its density can't be told from 0.
    pub(super) fn accumulate(
        &mut self,
        packed: &Packed,
        columns: &[f64],
        rows: usize,
        weights: Option<&[f64]>,
        sums: Sums<'_>,
    ) -> Result<(), usize> {
        self.distances(packed, columns, rows, weights);
        self.normalise(packed, rows, sums.counts, sums.log_likelihood)?;
        *sums.weight += self.tiles.weights().iter().sum::<f64>();
        match &packed.shape {
            Shape::Full(_) if packed.dim > LANEWISE => self.full_wide(packed, (columns, rows), sums.first, sums.second),
            Shape::Full(_) => self.full(packed, sums.first, sums.second),
            Shape::Tied { .. } | Shape::TiedFar(_) => self.tied(packed, sums.first, sums.second, sums.overlaps),
            Shape::Diagonal(_) | Shape::Spherical(_) => self.spread(packed, sums.first, sums.second),
        }
        Ok(())
    }

    /// Turns distances into w γ.
    fn normalise(&mut self, packed: &Packed, rows: usize, counts: &mut [f64], log_likelihood: &mut f64) -> Result<(), usize> {
        let k = packed.components;
        let lanes = self.counts.zeros(k * LANES);
        self.log_p.resize(self.tiles.len() * TILE);
        let log_p = self.log_p.get_mut();
        let weights = self.tiles.weights();
        for (t, distances) in self.gamma.get_mut().chunks_exact_mut(k * TILE).enumerate() {
            let (weights, log_p) = (&weights[t * TILE..(t + 1) * TILE], &mut log_p[t * TILE..(t + 1) * TILE]);
            let (log_scale, factor, threshold) = (&packed.log_scale[..], &packed.factor[..], &packed.threshold[..]);
            simd::run(Responsibilities { log_scale, factor, threshold, weights, distances, log_p, counts: lanes });
        }
        if let Some(row) = log_p[..rows].iter().position(|v| !v.is_finite()) {
            return Err(row);
        }
        add_lanes(counts, lanes);
        *log_likelihood += log_p.iter().zip(weights).map(|(p, w)| p * w).sum::<f64>();
        Ok(())
    }

    /// Σ_n w_n γ_nk (x_n − c_k)(x_n − c_k)ᵀ for each k, as VᵀV of rows v_n = √(w_n γ_nk) (x_n − c_k), few columns.
    fn full(&mut self, packed: &Packed, first: &mut [f64], second: &mut [f64]) {
        let (k, d) = (packed.components, packed.dim);
        for component in 0..k {
            let n = self.tiles.len() * TILE;
            self.roots.resize(n);
            let roots = self.roots.get_mut();
            let active = simd::run(Roots { gamma: self.gamma.get(), component, components: k, roots });
            if active == 0 {
                continue;
            }
            let centre = &packed.centres[component * d..(component + 1) * d];
            let matrix = &mut second[component * d * d..(component + 1) * d * d];
            // gathering a row costs as much as the products of two to four rows
            let sparse = active * if d < 32 { 4 } else { 2 } < n;
            if sparse {
                self.rows.clear();
                self.rows.extend(roots.iter().zip(0..).filter(|(r, _)| **r > 0.0).map(|(_, n)| n));
            }
            let total = if sparse { active } else { n };
            let first_lanes = self.first.zeros(d * LANES);
            let lanes = self.second.zeros(d * (d + 1) / 2 * LANES);
            for start in (0..total).step_by(CHUNK) {
                let end = (start + CHUNK).min(total);
                let rows = simd::padded(end - start);
                self.v.resize(stride(rows) * d);
                let v = self.v.get_mut();
                if sparse {
                    gathered(self.tiles.get(), &self.rows[start..end], roots, centre, v, first_lanes);
                } else {
                    let tiles = &self.tiles.get()[start * d..end * d];
                    simd::run(Scaled { tiles, roots: &roots[start..end], centre, v, first: first_lanes });
                }
                simd::run(Gram { v, rows, dim: d, out: GramSums::Lanes(lanes) });
            }
            add_lanes(&mut first[component * d..(component + 1) * d], first_lanes);
            add_pairs(matrix, lanes, d);
        }
    }

    /// The same for many columns, row by row: a row without responsibility costs nothing.
    fn full_wide(&mut self, packed: &Packed, (columns, rows): (&[f64], usize), first: &mut [f64], second: &mut [f64]) {
        let (k, d) = (packed.components, packed.dim);
        self.tiles.load_rows(columns, rows);
        self.roots.resize(self.tiles.len() * TILE);
        for component in 0..k {
            let roots = self.roots.get_mut();
            simd::run(Roots { gamma: self.gamma.get(), component, components: k, roots });
            self.rows.clear();
            self.rows.extend(roots.iter().zip(0..).filter(|(r, _)| **r > 0.0).map(|(_, n)| n));
            self.kept.clear();
            self.kept.extend(roots.iter().filter(|r| **r > 0.0));
            let centre = &packed.centres[component * d..(component + 1) * d];
            let matrix = &mut second[component * d * d..(component + 1) * d * d];
            let rows = Weighted { x: self.tiles.by_row(), rows: &self.rows, roots: &self.kept, centre };
            self.strips.add(rows, &mut first[component * d..(component + 1) * d], matrix);
            self.strips.flush(matrix);
        }
    }

    /// Σ_k Σ_n w_n γ_nk (x_n − c_k)(x_n − c_k)ᵀ, by the law of total variance ([`Deviations`]).
    fn tied(&mut self, packed: &Packed, first: &mut [f64], second: &mut [f64], overlaps: &mut [f64]) {
        let (k, d) = (packed.components, packed.dim);
        let n = self.tiles.len() * TILE;
        let chunk = if d <= LANEWISE { CHUNK.min(n) } else { n };
        let first_lanes = self.first.zeros(k * d * LANES);
        let lanes = self.second.zeros(if d <= LANEWISE { d * (d + 1) / 2 * LANES } else { 0 });
        self.roots.resize(n);
        let inverse_roots = self.roots.get_mut();
        inverse_roots.iter_mut().zip(self.tiles.weights()).for_each(|(r, w)| *r = if *w > 0.0 { 1.0 / w.sqrt() } else { 0.0 });
        let mut active = Vec::with_capacity(k);
        for start in (0..n).step_by(chunk) {
            let rows = chunk.min(n - start);
            self.v.resize(stride(rows) * d);
            let v = self.v.get_mut();
            let mut mixed = false;
            for t in start / TILE..(start + rows) / TILE {
                let gamma = &self.gamma.get()[t * k * TILE..(t + 1) * k * TILE];
                active.clear();
                active.extend((0..k).filter(|k| gamma[k * TILE..(k + 1) * TILE].iter().any(|g| *g > 0.0)));
                mixed |= active.len() > 1;
                simd::run(Deviations {
                    tile: &self.tiles.get()[t * TILE * d..(t + 1) * TILE * d],
                    gamma,
                    active: &active,
                    centres: &packed.centres,
                    inverse_roots: &inverse_roots[t * TILE..(t + 1) * TILE],
                    v,
                    rows,
                    offset: t * TILE - start,
                    first: first_lanes,
                });
            }
            let out = if d <= LANEWISE { GramSums::Lanes(lanes) } else { GramSums::Matrix(second) };
            simd::run(Gram { v, rows, dim: d, out });
            if mixed {
                // √w γ column by column, for T_kl = Σ_n w_n γ_nk γ_nl
                self.v.resize(stride(rows) * k);
                let v = self.v.get_mut();
                for t in start / TILE..(start + rows) / TILE {
                    for (component, gamma) in self.gamma.get()[t * k * TILE..(t + 1) * k * TILE].chunks_exact(TILE).enumerate() {
                        let out = &mut v[component * stride(rows) + t * TILE - start..][..TILE];
                        let roots = &inverse_roots[t * TILE..(t + 1) * TILE];
                        out.iter_mut().zip(gamma).zip(roots).for_each(|((o, g), r)| *o = g * r);
                    }
                }
                simd::run(Gram { v, rows, dim: k, out: GramSums::Matrix(overlaps) });
            }
        }
        add_lanes(first, first_lanes);
        add_pairs(second, lanes, d);
    }

    /// Σ_n w_n γ_nk (x_nj − c_kj)², for each j or summed over j.
    fn spread(&mut self, packed: &Packed, first: &mut [f64], second: &mut [f64]) {
        let (k, d) = (packed.components, packed.dim);
        let width = second.len() / k;
        let first_lanes = self.first.zeros(k * d * LANES);
        let second_lanes = self.second.zeros(k * width * LANES);
        for (tile, gamma) in self.tiles.iter().zip(self.gamma.get().chunks_exact(k * TILE)) {
            for (component, weights) in gamma.chunks_exact(TILE).enumerate() {
                if weights.iter().any(|g| *g > 0.0) {
                    let centre = &packed.centres[component * d..(component + 1) * d];
                    let first = &mut first_lanes[component * d * LANES..(component + 1) * d * LANES];
                    let second = &mut second_lanes[component * width * LANES..(component + 1) * width * LANES];
                    let second = match packed.shape {
                        Shape::Diagonal(_) => MomentSums::Diagonal(second),
                        _ => MomentSums::Trace(second),
                    };
                    simd::run(Moments { tile, weights, centre, first, second });
                }
            }
        }
        add_lanes(first, first_lanes);
        add_lanes(second, second_lanes);
    }
}

/// Adds sums of pairs, lane by lane, to the lower triangle of a matrix (D, D); no lanes, nothing to add.
fn add_pairs(matrix: &mut [f64], lanes: &[f64], d: usize) {
    let mut pairs = lanes.chunks_exact(LANES);
    for i in 0..d {
        for (entry, lanes) in matrix[i * d..i * d + i + 1].iter_mut().zip(&mut pairs) {
            *entry += lanes.iter().sum::<f64>();
        }
    }
}

/// Adds Σ_{k<l} T_kl (c_k − c_l)(c_k − c_l)ᵀ to the lower triangle of a matrix (D, D); `overlaps` is T (K, K), lower triangle.
pub(super) fn add_between(matrix: &mut [f64], overlaps: &[f64], centres: &[f64], d: usize) {
    let k = centres.len() / d;
    let mut difference = vec![0.0; d];
    for l in 0..k {
        for m in 0..l {
            let overlap = overlaps[l * k + m];
            if overlap == 0.0 {
                continue;
            }
            for j in 0..d {
                difference[j] = centres[l * d + j] - centres[m * d + j];
            }
            for i in 0..d {
                let scaled = overlap * difference[i];
                for j in 0..=i {
                    matrix[i * d + j] += scaled * difference[j];
                }
            }
        }
    }
}
