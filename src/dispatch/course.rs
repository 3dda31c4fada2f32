//! Replies that take many turns: what is left of one stays with its connection, and goes on when its turn comes again.

use std::any::Any;

use crate::base::limits::OUTBOX_BYTES_MAX;
use crate::conn::{Ask, Outbox, Verdict};

/// Steps in one turn of the connection.
const TURN_STEPS: usize = 4;

/// What one step came to.
pub(super) enum Step {
    /// There is more.
    More,
    /// Nothing can be done just now.
    Wait,
    /// The reply is whole.
    End,
}

/// Sets out on a long reply.
pub(super) fn begin<C: Any + Send>(course: C, ask: &mut Ask<'_>) {
    ask.session.course = Some(Box::new(course));
}

/// Takes some steps, or fewer when the outbox is full; behind the last one the course is given up.
pub(super) fn go_on<C: Any + Send>(
    ask: &mut Ask<'_>,
    out: &mut Outbox,
    mut step: impl FnMut(&mut C, &mut Outbox) -> Step,
) -> Verdict {
    let mut course = ask.session.course.take();
    let Some(known) = course.as_mut().and_then(|course| course.downcast_mut::<C>()) else {
        return Verdict::Close;
    };
    let mut verdict = Verdict::Paused { resume: 1 };
    for _ in 0..TURN_STEPS {
        if out.unsent_bytes() >= OUTBOX_BYTES_MAX {
            break;
        }
        match step(known, out) {
            Step::More => {}
            Step::Wait => {
                verdict = Verdict::Parked { resume: 1 };
                break;
            }
            Step::End => return Verdict::Done,
        }
    }
    ask.session.course = course;
    verdict
}
