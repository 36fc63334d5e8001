//! A token model without what only passes tokens on.

use super::{Actor, Give, Phase, TokenModel};

/// An actor that fires whenever a token is there: it takes one at a time and needs a cycle for it.
struct Relay {
    actor: usize,
    giver: usize,
    edge: usize,
}

impl TokenModel {
    /// The same model, every other firing at the same clock edge, without the actors that never wait.
    ///
    /// Where tokens come one at a time, each a cycle or more after the one before it, an actor that waits for
    /// nothing else and is ready a cycle later takes each as it comes: its giver may as well do the giving.
    pub fn without_relays(&self) -> TokenModel {
        let mut model = self.clone();
        let mut gone = vec![false; model.actors.len()];
        for actor in 1..model.actors.len() {
            let Some(relay) = model.relay(actor) else { continue };
            let passed = model.actors[relay.actor].round[0].phases[0].gives.clone();
            for phase in model.actors[relay.giver].phases_mut() {
                let Some(at) = phase.gives.iter().position(|give| give.edge.0 == relay.edge) else { continue };
                let token = phase.gives.remove(at);
                phase.gives.extend(passed.iter().map(|give| Give { delay: give.delay + token.delay, ..*give }));
            }
            gone[relay.actor] = true;
        }
        let mut gone = gone.into_iter();
        model.actors.retain(|_| !gone.next().unwrap_or(false));
        model
    }

    fn relay(&self, actor: usize) -> Option<Relay> {
        let [block] = self.actors[actor].round.as_slice() else { return None };
        let [Phase { takes, gives, cycles: 1, .. }] = block.phases.as_slice() else { return None };
        let [take] = takes.as_slice() else { return None };
        let edge = take.edge;
        let gives_to =
            |actor: &Actor| actor.phases().any(|(_, phase)| phase.gives.iter().any(|give| give.edge == edge));
        let mut givers = (0..self.actors.len()).filter(|&index| gives_to(&self.actors[index]));
        let (giver, None) = (givers.next()?, givers.next()) else { return None };
        let mut delays =
            self.actors[giver].phases().flat_map(|(_, phase)| phase.gives.iter()).filter(|give| give.edge == edge);
        let first = *delays.next()?;
        let sound = (take.need, take.consume, self.edges[edge.0].initial, first.count) == (1, 1, 0, 1)
            && giver != actor
            && !gives.is_empty()
            && delays.all(|give| *give == first);
        sound.then_some(Relay { actor, giver, edge: edge.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActorId, Take};
    use super::*;

    #[test]
    fn without_relays_the_rest_fires_at_the_same_clock_edges() {
        let mut model = TokenModel::new();
        let [results, data] = ["results", "data"].map(|name| model.edge(name, 0));
        let space = model.edge("space", 3);
        let take = |edge| vec![Take { edge, need: 1, consume: 1 }];
        let give = |edge, delay| vec![Give { edge, count: 1, delay, stride: 0 }];
        for (name, takes, gives, cycles) in [
            ("source", take(space), give(results, 4), 2),
            ("relay", take(results), give(data, 3), 1),
            ("sink", take(data), give(space, 1), 3),
        ] {
            model.actor(name, vec![Phase { repeat: 10, takes, gives, cycles }], 1);
        }
        let less = model.without_relays();
        assert_eq!((model.actors.len(), less.actors.len()), (3, 2));
        assert_eq!(less.latency(ActorId(0), ActorId(1)), model.latency(ActorId(0), ActorId(2)));
        assert_eq!(less.steady(100), model.steady(100));
    }
}
