//! One result on its way from a driver thread to whoever waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The receiving end: to be waited for by a thread or polled as a future, of any runtime.
///
/// The result comes exactly once; a future must not be polled again after it was ready.
#[derive(Debug)]
pub struct Ticket<T> {
    slot: Arc<Slot<T>>,
}

/// The sending end.
#[derive(Debug)]
pub struct Promise<T> {
    slot: Arc<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// Both ends of one result.
pub fn ticket<T>() -> (Promise<T>, Ticket<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(State { value: None, waker: None }), filled: Condvar::new() });
    (Promise { slot: slot.clone() }, Ticket { slot })
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Promise<T> {
    /// Hands the result over and wakes who waits.
    pub fn fulfil(self, value: T) {
        let waker = {
            let mut state = self.slot.lock();
            state.value = Some(value);
            state.waker.take()
        };
        self.slot.filled.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Ticket<T> {
    /// Blocks until the result is there.
    pub fn wait(self) -> T {
        let mut state = self.slot.lock();
        loop {
            match state.value.take() {
                Some(value) => return value,
                None => state = self.slot.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Whether the result is there.
    pub fn is_ready(&self) -> bool {
        self.slot.lock().value.is_some()
    }
}

impl<T> Future for Ticket<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut state = self.slot.lock();
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_thread_that_waits_gets_the_result() {
        let (promise, ticket) = ticket();
        let waiting = std::thread::spawn(move || ticket.wait());
        promise.fulfil(7);
        assert_eq!(waiting.join().unwrap(), 7);
    }

    #[test]
    fn a_future_is_woken_once_and_then_ready() {
        let (promise, mut ticket) = ticket();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        assert_eq!(Pin::new(&mut ticket).poll(&mut context), Poll::Pending);
        assert!(!ticket.is_ready());
        promise.fulfil("answer");
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(ticket.is_ready());
        assert_eq!(Pin::new(&mut ticket).poll(&mut context), Poll::Ready("answer"));
    }
}
