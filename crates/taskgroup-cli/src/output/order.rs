//! Lines in the order of their commands, whatever the order in which they come.
//!
//! The lines of the first command come out at once. Those of the others are held back until every
//! command before has ended.

use std::collections::{HashMap, HashSet};
use std::io;

use tokio::sync::mpsc;

use super::outlet::{Heading, Outlet, Trouble};

/// Tells the [`Conveyor`] what happens. Clones are for the same conveyor.
#[derive(Clone)]
pub(crate) struct Order(Option<mpsc::UnboundedSender<Step>>);

enum Step {
    Show(usize, Outlet, Heading),
    Ended(usize),
}

/// Releases the outlets, each in its turn.
pub(crate) struct Conveyor {
    steps: Option<mpsc::UnboundedReceiver<Step>>,
    next: usize,
    waiting: HashMap<usize, Vec<(Outlet, Heading)>>,
    ended: HashSet<usize>,
    lost: Option<io::Error>,
}

impl Order {
    /// Without `keep`, nothing waits for anything.
    pub(crate) fn new(keep: bool) -> (Order, Conveyor) {
        let (sender, receiver) = keep.then(mpsc::unbounded_channel).unzip();
        let conveyor = Conveyor {
            steps: receiver,
            next: 0,
            waiting: HashMap::new(),
            ended: HashSet::new(),
            lost: None,
        };
        (Order(sender), conveyor)
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Releases the outlet of the command at this place, when it is its turn.
    pub(crate) async fn show(&self, place: usize, outlet: Outlet, heading: Heading) {
        match &self.0 {
            // The conveyor outlives every sender.
            Some(steps) => drop(steps.send(Step::Show(place, outlet, heading))),
            None => outlet.release(heading).await,
        }
    }

    /// Nothing more comes from this place. Every place has to end.
    pub(crate) fn ended(&self, place: usize) {
        if let Some(steps) = &self.0 {
            let _ = steps.send(Step::Ended(place));
        }
    }
}

impl Conveyor {
    /// Resolves when the last [`Order`] is dropped and everything is released. Returns the error if
    /// lines could not be read again.
    pub(crate) async fn run(mut self) -> Option<io::Error> {
        let mut steps = self.steps.take()?;
        while let Some(step) = steps.recv().await {
            match step {
                Step::Show(place, outlet, heading) if place <= self.next => {
                    self.release(&outlet, heading).await;
                }
                Step::Show(place, outlet, heading) => {
                    let waiting = self.waiting.entry(place).or_default();
                    waiting.push((outlet, heading));
                }
                Step::Ended(place) => {
                    self.ended.insert(place);
                    while self.ended.remove(&self.next) {
                        self.next += 1;
                        for (outlet, heading) in self.waiting.remove(&self.next).unwrap_or_default()
                        {
                            self.release(&outlet, heading).await;
                        }
                    }
                }
            }
        }
        self.lost
    }

    async fn release(&mut self, outlet: &Outlet, heading: Heading) {
        outlet.release(heading).await;
        if let Some(Trouble::Lost(error)) = outlet.take_trouble() {
            self.lost.get_or_insert(error);
        }
    }
}
