//! The pipeline, top to bottom.

mod broadcast;
pub mod derive_exact_maps;
pub mod fold_constants;
pub mod keep_nodes;
pub mod layout;
pub mod lower_to_integers;
pub mod lowering;
pub mod pipeline;
pub mod real;
pub mod schedule_stages;
