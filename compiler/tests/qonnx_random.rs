//! Random QONNX networks of matrix products: the imported network, evaluated operator by operator, and the integer
//! network with its borders must agree on every element.

mod networks;

use networks::{bits, evaluated, imported, lowered, qonnx, sample, stored};
use proptest::prelude::*;
use systole_compiler::ops::random::Random;
use systole_compiler::Profile;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn integers_and_the_imported_network_agree(seed in any::<u64>()) {
        let graph = imported("random", &qonnx::dense("n", seed)).unwrap();
        let quant = lowered(&graph, Profile::Qonnx).map_err(|e| TestCaseError::fail(format!("seed {seed}: {e}")))?;
        let mut random = Random::new(!seed);
        for index in 0..12 {
            let inputs = sample(&graph, &mut random, index);
            let integers = quant.interpret(&stored(&quant, &inputs)).unwrap();
            let stream = &integers[quant.outputs[0].tensor.0 as usize];
            let got = bits(&quant.run_border_out(0, stream).unwrap());
            let expected = evaluated(&graph, Profile::Qonnx, &inputs);
            prop_assert_eq!(got, expected, "seed {} sample {}\n{}", seed, index, quant);
        }
    }
}
