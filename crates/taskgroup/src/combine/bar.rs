//! A progress bar of `indicatif`.

use indicatif::ProgressBar;

use crate::progress::Progress;

impl Progress {
    /// Lets `bar` follow the group until the group has ended.
    ///
    /// It sets the length, the position and a message with the numbers of failed and cancelled
    /// children. At the end it finishes the bar if every child is done, and abandons it as it
    /// stands otherwise. Join it with the run, as in the example, so that it sees the last event
    /// too.
    ///
    /// ```
    /// use indicatif::ProgressBar;
    /// use taskgroup::{Progress, TaskGroup, join};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let progress = Progress::expecting(3);
    /// let bar = ProgressBar::hidden();
    /// let run = TaskGroup::builder().progress(&progress).run(async |group| {
    ///     for _ in 0..3 {
    ///         group.spawn(async {});
    ///     }
    ///     Ok(())
    /// });
    /// let (result, ()) = join((run, progress.show(&bar))).await;
    /// result.unwrap();
    /// assert_eq!((bar.position(), bar.is_finished()), (3, true));
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future leaves the bar where it is.
    pub async fn show(&self, bar: &ProgressBar) {
        let mut events = self.watch();
        while let Some(counts) = events.next().await {
            bar.set_length(counts.total() as u64);
            bar.set_position(counts.ended() as u64);
            let message = match (counts.failed, counts.cancelled) {
                (0, 0) => String::new(),
                (failed, 0) => format!("failed: {failed}"),
                (0, cancelled) => format!("cancelled: {cancelled}"),
                (failed, cancelled) => format!("failed: {failed}, cancelled: {cancelled}"),
            };
            bar.set_message(message);
            if counts.finished && counts.done == counts.total() {
                bar.finish();
            } else if counts.finished {
                bar.abandon();
            }
        }
    }
}
