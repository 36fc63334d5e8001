//! The part of a token model that decides some FIFOs' depths.

use super::{Actor, ActorId, Block, EdgeId, Give, Phase, Run, Take, TokenModel};
use std::collections::{BTreeMap, BTreeSet};

/// The loops through some edges, cut out of their model.
#[derive(Clone, Debug)]
pub struct Region {
    /// The actors on these loops, in data order. Whatever the rest of the design gives them is there.
    pub model: TokenModel,
    /// The edges in it, in the order asked for.
    pub edges: Vec<EdgeId>,
}

/// Whether a design keeps up with a pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does, for ever.
    Keeps,
    /// It does not: it takes about so many cycles for so many samples.
    Slower((u64, u64)),
    /// It comes to a stop.
    Stops,
}

/// Who gives to an edge and who takes from it.
#[derive(Clone, Debug, Default)]
struct Ends {
    givers: BTreeSet<usize>,
    takers: BTreeSet<usize>,
}

impl TokenModel {
    /// Cuts out what lies on loops through `edges`, of all loops that avoid the `open` edges.
    ///
    /// The interval of a timed event graph is the largest ratio of duration to tokens over its loops,
    /// whatever arrives when (Baccelli et al., *Synchronization and Linearity*, section 2.5). With the
    /// `open` edges never running out, `edges` hold up only what lies on a loop through them: the design
    /// keeps a pace with so many tokens there exactly if this part does. None where there is no such
    /// loop.
    pub fn region(&self, edges: &[EdgeId], open: &BTreeSet<EdgeId>) -> Option<Region> {
        let ends = self.ends();
        let closed = |id: usize| edges.contains(&EdgeId(id)) || !open.contains(&EdgeId(id));
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); self.actors.len()];
        let mut before = next.clone();
        for (_, ends) in ends.iter().enumerate().filter(|&(id, _)| closed(id)) {
            for &giver in &ends.givers {
                next[giver].extend(&ends.takers);
            }
            for &taker in &ends.takers {
                before[taker].extend(&ends.givers);
            }
        }
        let takers = edges.iter().flat_map(|edge| ends[edge.0].takers.iter().copied());
        let givers = edges.iter().flat_map(|edge| ends[edge.0].givers.iter().copied());
        let behind = reachable(&next, takers.collect());
        let inside: BTreeSet<usize> = reachable(&before, givers.collect()).intersection(&behind).copied().collect();

        let mut model = TokenModel::new();
        let mut kept: BTreeMap<EdgeId, EdgeId> = BTreeMap::new();
        for (id, ends) in ends.iter().enumerate().filter(|&(id, _)| closed(id)) {
            if !ends.takers.is_disjoint(&inside) && !ends.givers.is_disjoint(&inside) {
                kept.insert(EdgeId(id), model.edge(self.edges[id].name.clone(), self.edges[id].initial));
            }
        }
        model.actors.extend(inside.iter().map(|&actor| self.actors[actor].on(&kept)));
        let edges = edges.iter().map(|edge| kept.get(edge).copied()).collect::<Option<Vec<EdgeId>>>()?;
        Some(Region { model: model.without_relays(), edges })
    }

    /// Whether the design keeps up with `pace` (so many cycles for so many samples), and the steps that
    /// the answer took. The first actor is paced.
    ///
    /// As [`TokenModel::sustains`], and no as soon as what is furthest behind the pace falls behind in more
    /// samples in a row than a dependency reaches back without going through an edge twice, or by the same
    /// in more samples than any edge holds: then a loop is slower than the pace.
    pub fn keeps_up(&self, pace: (u64, u64), limit: u64) -> (Verdict, u64) {
        let (deepest, all) = self.reach();
        let mut run = self.start_paced(pace);
        let mut lags = vec![i64::MAX; self.actors.len()];
        let (mut rise, mut rises, mut equal) = (0, 0, 0);
        let falls_behind = |run: &Run<'_>| {
            let before = rise;
            rise = 0;
            for (before, now) in lags.iter_mut().zip(run.lags()) {
                rise = rise.max(now.saturating_sub(*before));
                *before = now;
            }
            rises = if rise > 0 { rises + 1 } else { 0 };
            equal = if rise > 0 && rise == before { equal + 1 } else { 0 };
            equal > deepest || rises > all
        };
        let verdict = match run.repeats_unless(limit, falls_behind) {
            Err(_) => Verdict::Stops,
            Ok(Some(steady)) if steady.keeps(pace) => Verdict::Keeps,
            Ok(Some(steady)) => Verdict::Slower(steady.pace()),
            Ok(None) => Verdict::Slower((pace.0 + rise.max(0) as u64 * pace.1, pace.1)),
        };
        (verdict, run.effort())
    }

    /// Samples that a path reaches back through the edge with most tokens, and through every edge once.
    fn reach(&self) -> (u64, u64) {
        let mut consumption = vec![0u64; self.edges.len()];
        for actor in &self.actors {
            for (block, phase) in actor.phases() {
                for take in &phase.takes {
                    consumption[take.edge.0] += block.repeat * phase.repeat * take.consume * actor.rounds_per_sample;
                }
            }
        }
        let samples = |(edge, &taken): (&super::Edge, &u64)| edge.initial as f64 / taken.max(1) as f64;
        let each = || self.edges.iter().zip(&consumption).map(samples);
        (each().fold(0.0, f64::max).ceil() as u64, each().sum::<f64>().ceil() as u64)
    }

    fn ends(&self) -> Vec<Ends> {
        let mut ends = vec![Ends::default(); self.edges.len()];
        for (ActorId(index), actor) in self.actors() {
            for (_, phase) in actor.phases() {
                phase.takes.iter().for_each(|take| ends[take.edge.0].takers.extend([index]));
                phase.gives.iter().for_each(|give| ends[give.edge.0].givers.extend([index]));
            }
        }
        ends
    }
}

impl Actor {
    pub(super) fn phases(&self) -> impl Iterator<Item = (&Block, &Phase)> {
        self.round.iter().flat_map(|block| block.phases.iter().map(move |phase| (block, phase)))
    }

    pub(super) fn phases_mut(&mut self) -> impl Iterator<Item = &mut Phase> {
        self.round.iter_mut().flat_map(|block| &mut block.phases)
    }

    /// The same actor, with the edges in `kept` alone and under their new names.
    fn on(&self, kept: &BTreeMap<EdgeId, EdgeId>) -> Actor {
        let mut actor = self.clone();
        for phase in actor.phases_mut() {
            let take = |take: &Take| kept.get(&take.edge).map(|&edge| Take { edge, ..*take });
            let give = |give: &Give| kept.get(&give.edge).map(|&edge| Give { edge, ..*give });
            phase.takes = phase.takes.iter().filter_map(take).collect();
            phase.gives = phase.gives.iter().filter_map(give).collect();
        }
        actor
    }
}

/// Everything that can be reached from `from`, itself included.
fn reachable(next: &[Vec<usize>], from: BTreeSet<usize>) -> BTreeSet<usize> {
    let mut open: Vec<usize> = from.iter().copied().collect();
    let mut found = from;
    while let Some(actor) = open.pop() {
        open.extend(next[actor].iter().copied().filter(|&other| found.insert(other)));
    }
    found
}
