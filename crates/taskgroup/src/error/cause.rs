//! Which of several failures is the cause of the others (S43).
//!
//! The first criterion is time. A failure whose poll began after another failure had ended may be
//! its consequence, and cannot be its cause (see `order`). If the polls overlap, as they do when
//! the end of one task wakes another one on another thread, the texts decide. A closed channel is a
//! consequence of the end of the task that had the other side. A closed pipe or connection may be
//! one as well, or may come from outside. If the texts do not decide, the failure whose code was
//! through first is the cause.

use super::leaf::{beneath, is_ours};
use super::{Member, TaskError};
use crate::gate;
use std::error::Error;
use std::io;
use std::iter::successors;

/// How many errors in a chain of sources are looked at.
const MAX_LINKS: usize = 64;

/// What the text of a failure says about its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    /// Nothing about another task.
    Own,
    /// The other side of a pipe or a connection is gone, or the program says so in its own words.
    PeerGone,
    /// The other side of a channel is gone.
    ChannelClosed,
}

impl Member {
    /// Moves the cause to the front. The others stay in the order in which they arrived.
    pub(super) fn put_first(members: &mut [Self]) {
        let ends = members.iter().map(|member| member.interval().ended());
        let Some(first_end) = ends.min().filter(|_| members.len() > 1) else {
            return;
        };
        let mut cause: Option<(usize, usize)> = None;
        let mut cause_says = None;
        for (index, member) in members.iter().enumerate() {
            let interval = member.interval();
            if interval.is_after(first_end) {
                continue;
            }
            let Some((best, best_through)) = cause else {
                cause = Some((index, interval.through()));
                continue;
            };
            // A text comes from foreign code and costs time, so it is asked for only if there is a
            // choice.
            let best_says = *cause_says.get_or_insert_with(|| says(members[best].cause()));
            if best_says == Says::Own && interval.through() >= best_through {
                continue;
            }
            let own = says(member.cause());
            if (own, interval.through()) < (best_says, best_through) {
                cause = Some((index, interval.through()));
                cause_says = Some(own);
            }
        }
        if let Some((index, _)) = cause {
            members[..=index].rotate_right(1);
        }
    }
}

fn says(task: &TaskError) -> Says {
    let Some(error) = task.error() else {
        return task.panic_message().map_or(Says::Own, text_says);
    };
    let error: &(dyn Error + 'static) = error;
    let links = successors(Some(error), |link| beneath(*link)).take(MAX_LINKS);
    links.map(link_says).max().unwrap_or(Says::Own)
}

fn link_says(link: &(dyn Error + 'static)) -> Says {
    if is_ours(link) {
        // It reports several failures. Its cause is beneath.
        return Says::Own;
    }
    let by_kind = link.downcast_ref::<io::Error>().map(io::Error::kind);
    let by_kind = match by_kind {
        Some(
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof,
        ) => Says::PeerGone,
        _ => Says::Own,
    };
    by_kind.max(text_says(&gate::text(&link)))
}

/// Whether `word` is in `text`. The search of the standard library is fast in long texts, and is
/// 9 KB of code that most programs have for nothing else.
pub(crate) fn mentions(text: &str, word: &str) -> bool {
    let mut parts = text.as_bytes().windows(word.len().max(1));
    word.is_empty() || parts.any(|part| part == word.as_bytes())
}

/// The type of a channel's error depends on what is sent, so the error is recognised by its text.
/// That also finds errors that other code has turned into text.
fn text_says(text: &str) -> Says {
    /// As printed by `Display`: Tokio, the standard library, `futures`, `flume`, `async-channel`,
    /// `crossbeam`.
    const CHANNELS: [&str; 8] = [
        "channel closed",
        "closed channel",
        "disconnected channel",
        "channel is empty and disconnected",
        "channel is empty and sending half is closed",
        "receiver is gone",
        "oneshot canceled",
        "semaphore closed",
    ];
    /// As printed by `Debug`, for example in the panic of an `unwrap`.
    const CHANNELS_DEBUG: [&str; 5] = [
        "SendError",
        "RecvError",
        "RecvTimeoutError",
        "Closed(..)",
        "Disconnected(..)",
    ];
    const PEERS: [&str; 5] = [
        "broken pipe",
        "connection reset",
        "brokenpipe",
        "connectionreset",
        "unexpectedeof",
    ];
    /// What programs say themselves when they find a channel closed: one of these words, of one of
    /// those things.
    const GONE: [&str; 11] = [
        "any more",
        "closed",
        "disconnected",
        "dropped",
        "ended",
        "gone",
        "hung up",
        "no longer",
        "no more",
        "stopped",
        "went away",
    ];
    const SIDES: [&str; 17] = [
        "channel",
        "consumer",
        "downstream",
        "input",
        "other end",
        "other side",
        "output",
        "pipe",
        "producer",
        "queue",
        "reader",
        "receiver",
        "sender",
        "sink",
        "source",
        "upstream",
        "writer",
    ];
    let lower = text.to_ascii_lowercase();
    let is_in = |words: &[&str], text: &str| words.iter().any(|word| mentions(text, word));
    if is_in(&CHANNELS, &lower) || is_in(&CHANNELS_DEBUG, text) {
        Says::ChannelClosed
    } else if is_in(&PEERS, &lower) || is_in(&GONE, &lower) && is_in(&SIDES, &lower) {
        Says::PeerGone
    } else {
        Says::Own
    }
}
