//! `lvm plot latent`: the rows among the latents.

use super::file_name;
use super::source::{Source, mixture, not_for};
use crate::args::PlotLatentArgs;
use crate::failure::{Failure, Outcome};
use crate::figure::{self, Bounds, Colour, GREY, INK, Legend, Marks, Panel, Panels, group, histogram, shade};
use crate::input::Input;
use crate::stored::{Model, Stored};
use lvm_core::gmm::GaussianMixture;
use lvm_core::model::{Infer, MapLatent};
use lvm_core::ppca::{Pca, Solver};
use ndarray::{Array1, Array2, Axis};

/// Different numbers in a column from which they are shades, not groups.
const GROUPS: usize = 12;

/// Draws the latents.
pub(super) fn run(args: &PlotLatentArgs) -> Outcome {
    figure::check_target(&args.out.output)?;
    let source = Source::load(&args.model)?;
    let input = source.input(&args.data, args.color.as_deref())?;
    let scene = match &source {
        Source::Exact(stored) => match mixture(stored) {
            Some(mixture) => of_mixture(stored, &mixture, &input)?,
            None => Scene::of_latents(means(stored, &input)?, "E[z | x]"),
        },
        #[cfg(feature = "deep")]
        Source::Neural(neural) => {
            if neural.is_discrete() {
                let message =
                    "one of its values is the latent, and there is nothing between them; lvm posterior --clusters tells the groups";
                return Err(Failure::fault(format!("{}: {message}", neural.path)));
            }
            Scene::of_latents(crate::commands::neural::centres(neural, &input, &args.data.format)?, "mean of q(z | x)")
        }
    };
    let colouring = match (&args.color, scene.groups.clone()) {
        (Some(name), _) => Colouring::of(
            name,
            input.labels().ok_or_else(|| {
                Failure::fault(format!("{}: column {name} can't be read as labels from this kind of file; use .csv or .tsv", input.path()))
            })?,
        ),
        (None, Some(groups)) => Colouring::groups("component", groups),
        (None, None) => Colouring::none(scene.points.nrows()),
    };
    let title = format!("{}: {} of {}", file_name(source.path()), scene.what, file_name(input.path()));
    let figure = match scene.points.ncols() {
        1 => one(title, &scene, colouring)?,
        _ => two(title, &scene, &args.axes, colouring)?,
    };
    super::finish(source.name(), "latent", scene.points.nrows(), &figure, &args.out)
}

/// What is drawn.
struct Scene {
    what: &'static str,
    names: Vec<String>,
    /// (N, L).
    points: Array2<f64>,
    /// The component of each row.
    groups: Option<Vec<usize>>,
    /// Outlines of components in the plane.
    outlines: Vec<Vec<[f64; 2]>>,
    note: String,
}

impl Scene {
    fn of_latents(points: Array2<f64>, what: &'static str) -> Self {
        let names = (0..points.ncols()).map(|l| format!("z{l}")).collect();
        Scene { what, names, points, groups: None, outlines: Vec::new(), note: String::new() }
    }
}

fn means(stored: &Stored, input: &Input) -> Outcome<Array2<f64>> {
    let explain = |error| input.explain(stored.family(), error);
    let rows = input.rows();
    match &stored.model {
        Model::Ppca(model) => Ok(model.infer(&rows).map_err(explain)?.mean().clone()),
        Model::Fa(model) => Ok(model.infer(&rows).map_err(explain)?.mean().clone()),
        Model::Bppca(model) => Ok(model.point_estimate().map_err(explain)?.infer(&rows).map_err(explain)?.mean().clone()),
        _ => Err(not_for(stored, "latents", "they are shares of topics or groups; lvm posterior writes them")),
    }
}

/// The rows and the components of a mixture, in the plane in which the rows vary most.
fn of_mixture(stored: &Stored, mixture: &GaussianMixture, input: &Input) -> Outcome<Scene> {
    let explain = |error| input.explain(stored.family(), error);
    let rows = input.rows();
    let groups = mixture.map_z(&rows).map_err(explain)?.to_vec();
    let d = stored.dim();
    let (points, names, note, axes, centre) = match d {
        1 | 2 => {
            let mut x = Array2::zeros((input.n_rows(), d));
            lvm_core::rows::RowSource::read(&rows, 0, x.view_mut()).map_err(explain)?;
            (x, stored.columns(), String::new(), Array2::eye(d), Array1::zeros(d))
        }
        _ => {
            let pca = Pca::fit(&rows, 2, Solver::default(), 0).map_err(explain)?;
            let share = pca.explained_variance_ratio().sum() * 100.0;
            let names = vec!["first principal axis".to_owned(), "second principal axis".to_owned()];
            let note = format!("the plane in which the rows vary most, {share:.0} % of their variance; ");
            // (2, D), rows are axes
            let axes = pca.components().clone();
            (pca.transform(&rows).map_err(explain)?, names, note, axes, pca.mean().clone())
        }
    };
    let outlines = match points.ncols() {
        2 => (0..mixture.n_components()).map(|k| ellipse(mixture, k, &axes, &centre)).collect(),
        _ => Vec::new(),
    };
    let note = note + if outlines.is_empty() { "" } else { "ellipses hold 86 % of a component" };
    Ok(Scene { what: "components", names, points, groups: Some(groups), outlines, note })
}

/// The points two standard deviations from the mean of a component, in a plane.
fn ellipse(mixture: &GaussianMixture, k: usize, axes: &Array2<f64>, centre: &Array1<f64>) -> Vec<[f64; 2]> {
    let mean = axes.dot(&(&mixture.means().row(k) - centre));
    let covariance = mixture.covariances().matrix(k, centre.len());
    let s = axes.dot(&*covariance).dot(&axes.t());
    // Cholesky factor of 2 by 2
    let a = s[[0, 0]].max(0.0).sqrt();
    let b = if a > 0.0 { s[[1, 0]] / a } else { 0.0 };
    let c = (s[[1, 1]] - b * b).max(0.0).sqrt();
    (0..=72)
        .map(|i| {
            let (sin, cos) = (f64::from(i) * std::f64::consts::TAU / 72.0).sin_cos();
            [mean[0] + 2.0 * a * cos, mean[1] + 2.0 * (b * cos + c * sin)]
        })
        .collect()
}

/// What the colours of the rows mean.
struct Colouring {
    colours: Vec<Colour>,
    legend: Legend,
    /// Names and rows of groups.
    groups: Vec<(String, Colour, Vec<usize>)>,
}

impl Colouring {
    fn none(n: usize) -> Self {
        Colouring { colours: vec![group(0)], legend: Legend::None, groups: vec![(String::new(), group(0), (0..n).collect())] }
    }

    fn groups(title: &str, of: Vec<usize>) -> Self {
        let k = of.iter().max().map_or(0, |k| k + 1);
        let rows = |g: usize| (0..of.len()).filter(|i| of[*i] == g).collect::<Vec<_>>();
        let groups: Vec<(String, Colour, Vec<usize>)> = (0..k).map(|g| (g.to_string(), group(g), rows(g))).collect();
        Colouring { colours: of.iter().map(|g| group(*g)).collect(), legend: keys(title, &groups), groups }
    }

    /// Shades for a column of many numbers, else groups.
    fn of(title: &str, texts: &[String]) -> Self {
        let mut known: Vec<&String> = texts.iter().collect();
        known.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            _ => a.cmp(b),
        });
        known.dedup();
        let numbers: Option<Vec<f64>> = texts.iter().map(|t| if t.is_empty() { Some(f64::NAN) } else { t.parse().ok() }).collect();
        if let Some(numbers) = numbers.filter(|_| known.len() > GROUPS) {
            let finite = numbers.iter().copied().filter(|v| v.is_finite());
            let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
            let colours = numbers.iter().map(|v| shade((v - low) / (high - low))).collect();
            let groups = vec![(String::new(), group(0), (0..texts.len()).collect())];
            return Colouring { colours, legend: Legend::Bar { title: title.to_owned(), low, high }, groups };
        }
        let place = |text: &String| known.iter().position(|k| *k == text).unwrap_or(0);
        let of: Vec<usize> = texts.iter().map(place).collect();
        let rows = |g: usize| (0..of.len()).filter(|i| of[*i] == g).collect::<Vec<_>>();
        let groups: Vec<(String, Colour, Vec<usize>)> =
            known.iter().enumerate().map(|(g, name)| ((*name).clone(), group(g), rows(g))).collect();
        Colouring { colours: of.iter().map(|g| group(*g)).collect(), legend: keys(title, &groups), groups }
    }
}

fn keys(title: &str, groups: &[(String, Colour, Vec<usize>)]) -> Legend {
    let keys = groups.iter().map(|(name, colour, rows)| (format!("{name} ({})", rows.len()), *colour)).collect();
    Legend::Keys { title: title.to_owned(), keys }
}

/// One latent: its distribution, group by group.
fn one(title: String, scene: &Scene, colouring: Colouring) -> Outcome<Panels> {
    let column = scene.points.column(0);
    let lists: Vec<Vec<f64>> = colouring.groups.iter().map(|(_, _, rows)| rows.iter().map(|&i| column[i]).collect()).collect();
    let (edges, heights) = histogram(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let panel = Panel {
        title: String::new(),
        x_name: scene.names[0].clone(),
        y_name: "density".to_owned(),
        x: Bounds::around(edges.iter().copied()),
        y: Bounds::up_to(heights.iter().flatten().copied()),
        marks: heights
            .into_iter()
            .zip(&colouring.groups)
            .flat_map(|(heights, (_, colour, _))| {
                [true, false].map(|filled| Marks::Bars { edges: edges.clone(), heights: heights.clone(), colour: *colour, filled })
            })
            .collect(),
    };
    Ok(Panels::single(title, scene.note.clone(), panel, colouring.legend))
}

/// Two of the latents against each other.
fn two(title: String, scene: &Scene, axes: &[usize], colouring: Colouring) -> Outcome<Panels> {
    let l = scene.points.ncols();
    let (i, j) = match axes {
        [] => widest(&scene.points),
        &[i, j] if i < l && j < l && i != j => (i, j),
        _ => {
            let typed = axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            return Err(Failure::usage(format!("--axes {typed}: two different latents from 0 to {} are needed", l - 1)));
        }
    };
    let n = scene.points.nrows();
    let points: Vec<[f64; 2]> = scene.points.rows().into_iter().map(|row| [row[i], row[j]]).collect();
    let outlines = scene.outlines.iter().flatten();
    let bounds = |c: usize| Bounds::around(points.iter().map(|p| p[c])).with(Bounds::around(outlines.clone().map(|p| p[c])));
    let bounds = |c: usize| if scene.outlines.is_empty() { Bounds::around(points.iter().map(|p| p[c])) } else { bounds(c) };
    let radius = match n {
        0..=500 => 3.2,
        501..=3000 => 2.2,
        3001..=20_000 => 1.4,
        _ => 0.8,
    };
    let (x, y) = (bounds(0), bounds(1));
    let grey = matches!(colouring.legend, Legend::None) && !scene.outlines.is_empty();
    let colours = if grey { vec![GREY] } else { colouring.colours };
    let mut marks = vec![Marks::Points { points, colours, radius }];
    marks.extend(scene.outlines.iter().map(|outline| Marks::Line { points: outline.clone(), colour: INK, width: 1.4 }));
    let note = match l {
        2 => scene.note.clone(),
        _ => format!("{}two of {l} latents, {}", scene.note, if axes.is_empty() { "those that vary most" } else { "as asked for" }),
    };
    let panel = Panel { title: String::new(), x_name: scene.names[i].clone(), y_name: scene.names[j].clone(), x, y, marks };
    Ok(Panels::single(title, note, panel, colouring.legend))
}

/// The two columns of the largest variance, in their order.
fn widest(points: &Array2<f64>) -> (usize, usize) {
    let variance = points.var_axis(Axis(0), 0.0);
    let mut order: Vec<usize> = (0..variance.len()).collect();
    order.sort_by(|a, b| variance[*b].total_cmp(&variance[*a]));
    (order[0].min(order[1]), order[0].max(order[1]))
}
