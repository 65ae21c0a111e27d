//! Work shared out among the threads of rayon's pool at hand.

use std::sync::{Mutex, PoisonError};

/// Does all of the work, on this thread and on as many others as there are places; each asks `room` once for what it needs besides.
/// Who does what must not matter.
pub(super) fn share<T: Send, R>(threads: usize, work: Vec<T>, room: impl Fn() -> R + Sync, of: impl Fn(&mut R, T) + Sync) {
    if threads <= 1 || work.len() <= 1 {
        let mut room = room();
        return work.into_iter().for_each(|part| of(&mut room, part));
    }
    let others = threads.min(work.len()) - 1;
    let queue = Mutex::new(work.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut room = room();
        while let Some(part) = next() {
            of(&mut room, part);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| run());
        }
        run();
    });
}
