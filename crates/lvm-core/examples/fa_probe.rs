//! probe
use lvm_core::fa::*;
use lvm_core::fit::*;
use lvm_core::model::*;
use ndarray::*;
use rand_distr::Distribution;
use std::time::Instant;
fn main() {
    let mode = std::env::args().nth(1).unwrap();
    if mode == "stall" {
        let f: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string("crates/lvm-core/tests/reference/fa_mtcars_2.json").unwrap()).unwrap();
        let rows: Vec<Vec<f64>> = f["data"]["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect())
            .collect();
        let x = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j]);
        let sd = lvm_core::moments::moments(&x).unwrap().covariance.diag().mapv(f64::sqrt);
        let x = &x / &sd;
        let q = std::env::args().nth(2).unwrap().parse().unwrap();
        let r = FaMl { factors: q, restarts: 12, stopping: Stopping { max_iterations: 60, tolerance: 1e-12 }, ..Default::default() }
            .fit_watched(&x, 1, &mut |p| {
                if p.iteration > 25 {
                    println!("{} {} {:.15}", p.restart, p.iteration, p.objective);
                }
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        println!("{:?}", r.model.uniquenesses());
        return;
    }
    if mode == "micro" {
        use lvm_core::linalg;
        let cpu = || {
            let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
            s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
        };
        let mut rng = lvm_core::random::stream(1, lvm_core::random::Purpose::Sample, 0);
        let mut g = || -> f64 { rand_distr::StandardNormal.sample(&mut rng) };
        let y = Array2::from_shape_simple_fn((1000, 784), &mut g);
        let a = y.t().dot(&y) / 1000.0;
        let b = Array2::from_shape_simple_fn((784, 26), &mut g);
        let c = Array2::from_shape_simple_fn((784, 104), &mut g);
        let h = c.t().dot(&c);
        for _ in 0..2 {
            macro_rules! time {
                ($n:expr, $e:expr) => {
                    let c0 = cpu();
                    let t = Instant::now();
                    for _ in 0..5 {
                        std::hint::black_box($e);
                    }
                    println!("{} cpu {:.2} ms wall {:.2}", $n, (cpu() - c0) / 5.0, t.elapsed().as_secs_f64() * 200.0);
                };
            }
            time!("clone", a.clone());
            time!("scale", {
                let mut x = a.clone();
                let s = Array1::from_elem(784, 0.5);
                x *= &s;
                x *= &s.view().insert_axis(Axis(1));
                x
            });
            time!("mm26", linalg::matmul(a.view(), b.view()));
            time!("mm104", linalg::matmul(a.view(), c.view()));
            time!("qr26", linalg::qr(b.view()).unwrap());
            time!("qr104", linalg::qr(c.view()).unwrap());
            time!("eigh104", linalg::eigh(h.view()).unwrap());
            time!("chol784", linalg::cholesky(a.view()).unwrap());
            time!("inv784", linalg::inverse_lower(a.view()));
            time!("eigh784", linalg::eigh(a.view()).unwrap());
            time!("fisher", {
                let mut p = -linalg::matmul(b.view(), b.t());
                p.mapv_inplace(|v| v * v);
                p
            });
            time!("c.t()c", linalg::matmul(c.t(), c.view()));
        }
        return;
    }
    if mode == "improper" {
        for name in ["fa_bfi_5", "fa_mtcars_2", "fa_statex77_1"] {
            let f: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(format!("crates/lvm-core/tests/reference/{name}.json")).unwrap()).unwrap();
            let rows: Vec<Vec<f64>> = f["data"]["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect())
                .collect();
            let x = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j]);
            let sd = lvm_core::moments::moments(&x).unwrap().covariance.diag().mapv(f64::sqrt);
            let x = &x / &sd;
            let n = x.nrows() as f64;
            let d = x.ncols() as f64;
            for q in 1..=8 {
                let t = Instant::now();
                match (FaMl { factors: q, restarts: 12, ..Default::default() }).fit(&x, 1) {
                    Err(e) => println!("{name} {q}: {e}"),
                    Ok(r) => {
                        let c = |v: f64| v * n + 0.5 * n * d * std::f64::consts::TAU.ln();
                        println!(
                            "{name} {q}: {:?} it {} ll {:.9} ev {:.9} starts {:?} psi {:.7} heywood {:?} {:.1} ms",
                            r.status,
                            r.iterations(),
                            c(r.objective()),
                            r.model.log_evidence(&x).unwrap().sum() + 0.5 * n * d * std::f64::consts::TAU.ln(),
                            r.restarts.iter().map(|v| (c(*v) * 1e6).round() / 1e6).collect::<Vec<_>>(),
                            r.model.uniquenesses().iter().cloned().fold(1.0, f64::min),
                            r.repairs
                                .iter()
                                .map(|r| match r.kind {
                                    RepairKind::Heywood { variable, .. } => variable,
                                    _ => 99,
                                })
                                .collect::<Vec<_>>(),
                            t.elapsed().as_secs_f64() * 1e3
                        );
                        assert!(r.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
                    }
                }
            }
        }
    } else {
        let (n, d, q) = (60000, 784, 20);
        let kind = mode.as_str();
        let mut rng = lvm_core::random::stream(1, lvm_core::random::Purpose::Sample, 0);
        let mut g = || -> f64 { rand_distr::StandardNormal.sample(&mut rng) };
        let x = if kind == "mnist" {
            // decaying spectrum, misfit: 200 latent factors
            let w = Array2::from_shape_fn((200, d), |(k, _)| g() * 3.0 / (1.0 + k as f64));
            let z = Array2::from_shape_simple_fn((n, 200), &mut g);
            let e = Array2::from_shape_simple_fn((n, d), &mut g);
            let mut x = e * 0.3;
            lvm_core::linalg::add_matmul(1.0, z.view(), w.view(), x.view_mut());
            x.mapv_inplace(|v| v.max(-0.5).powi(2));
            x
        } else {
            let w = Array2::from_shape_simple_fn((q, d), || 0.5 * g());
            let z = Array2::from_shape_simple_fn((n, q), &mut g);
            let s = Array1::from_shape_fn(d, |j| 0.3 + (j % 7) as f64 * 0.2);
            let mut x = Array2::from_shape_simple_fn((n, d), &mut g) * &s;
            lvm_core::linalg::add_matmul(1.0, z.view(), w.view(), x.view_mut());
            x
        };
        if let Some(p) = std::env::args().nth(2) {
            std::fs::write(p, x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
        }
        let cpu = || {
            let s = std::fs::read_to_string("/proc/self/stat").unwrap();
            let v: Vec<&str> = s.split(' ').collect();
            (v[13].parse::<f64>().unwrap() + v[14].parse::<f64>().unwrap()) / 100.0
        };
        let c0 = cpu();
        let m = lvm_core::moments::moments(&x).unwrap();
        println!("moments cpu {:.3}", cpu() - c0);
        for restarts in [1, 1, 3] {
            let (t, c0) = (Instant::now(), cpu());
            let r = FaMl { factors: q, restarts, ..Default::default() }.fit_covariance(m.covariance.view(), 1e4).unwrap();
            println!(
                "{:?} it {} ll {:.12} {:.3} s cpu {:.3} {:?} {}",
                r.status,
                r.iterations(),
                r.objective(),
                t.elapsed().as_secs_f64(),
                cpu() - c0,
                r.restarts,
                r.repairs.len()
            );
        }
    }
}
