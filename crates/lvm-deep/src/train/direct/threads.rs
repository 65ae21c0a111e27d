//! Work shared out among threads that wait for it awake.
//!
//! A step is two pieces of a few milliseconds with next to nothing between them. A thread that sleeps takes up to half a millisecond to wake
//! (in a virtual machine), as long as an eighth of its share; so the others of a team look out for work for some time before they
//! sleep, and give way to any other thread that wants the processor.

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread looks out for work.
const AWAKE: Duration = Duration::from_millis(2);

/// This thread and some others.
#[derive(Default)]
pub(super) struct Team {
    /// As many as rayon's pool at hand has, less one, from the first work for them on; none where they can't be had.
    others: OnceLock<Option<ThreadPool>>,
    /// How many of them look out for work.
    awake: Arc<AtomicUsize>,
}

impl Team {
    /// Does all of the work, on `threads` threads at most; each asks `room` once for what it needs besides. Who does what must not matter.
    pub(super) fn share<T: Send, R>(&self, threads: usize, work: Vec<T>, room: impl Fn() -> R + Sync, of: impl Fn(&mut R, T) + Sync) {
        let wanted = threads.min(work.len()).saturating_sub(1);
        let queue = Mutex::new(work.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let run = || {
            let mut room = room();
            while let Some(part) = next() {
                of(&mut room, part);
            }
        };
        let Some(pool) = (wanted > 0).then(|| self.others()).flatten() else { return run() };
        let helpers = wanted.min(pool.current_num_threads());
        let done = AtomicUsize::new(0);
        pool.in_place_scope(|scope| {
            for _ in 0..helpers {
                scope.spawn(|_| {
                    run();
                    done.fetch_add(1, Ordering::Release);
                });
            }
            run();
            // the scope would wait for them asleep
            let begin = Instant::now();
            while done.load(Ordering::Acquire) < helpers && begin.elapsed() < AWAKE {
                thread::yield_now();
            }
        });
    }

    /// The others, awake.
    fn others(&self) -> Option<&ThreadPool> {
        let others = rayon::current_num_threads() - 1;
        let made = || (others > 0).then(|| ThreadPoolBuilder::new().num_threads(others).build().ok()).flatten();
        let pool = self.others.get_or_init(made).as_ref()?;
        let n = pool.current_num_threads();
        if self.awake.compare_exchange(0, n, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let awake = Arc::clone(&self.awake);
            pool.spawn_broadcast(move |_| {
                look_out();
                awake.fetch_sub(1, Ordering::Relaxed);
            });
        }
        Some(pool)
    }
}

/// Does what work there is until there is none for some time.
fn look_out() {
    let mut last = Instant::now();
    while last.elapsed() < AWAKE {
        match rayon::yield_now() {
            Some(Yield::Executed) => last = Instant::now(),
            _ => thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_work_is_done_once() {
        for threads in [1, 2, 5] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let team = Team::default();
            for at_most in [1, 2, 8] {
                for n in [0, 1, 3, 100] {
                    let counts: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
                    let rooms = AtomicUsize::new(0);
                    let room = || rooms.fetch_add(1, Ordering::Relaxed);
                    let of = |_: &mut usize, i: usize| {
                        counts[i].fetch_add(1, Ordering::Relaxed);
                    };
                    pool.install(|| team.share(at_most, (0..n).collect(), room, of));
                    assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
                    assert!(rooms.into_inner() <= threads.min(at_most).min(n.max(1)));
                }
                // long enough for the others to fall asleep
                thread::sleep(2 * AWAKE);
            }
        }
    }

    #[test]
    fn a_panic_is_passed_on_and_the_team_goes_on() {
        let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let (team, other) = (Team::default(), Team::default());
        for bad in [0, 7, 49] {
            let work = || team.share(3, (0..50).collect(), || (), |(), i: usize| assert_ne!(i, bad));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(work))).is_err());
            // two teams in turns, on the threads of the same pool
            for team in [&team, &other] {
                let sum = AtomicUsize::new(0);
                pool.install(|| {
                    team.share(
                        3,
                        (0..50).collect(),
                        || (),
                        |(), i| {
                            sum.fetch_add(i, Ordering::Relaxed);
                        },
                    );
                });
                assert_eq!(sum.into_inner(), 1225);
            }
        }
    }
}
