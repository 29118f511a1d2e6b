//! The GPU backend as a whole: PyTorch's trajectories, random fused graphs, long loops.

use gridlight::device::cpu::CpuDevice;
use gridlight::device::gpu::GpuOptions;
use libtest_mimic::Trial;

use crate::{
    agreement, custom_loop, examples, families, gan_trajectory, graph_trajectory, harness, image_trajectory,
    parts, saving, trajectory, transformer_trajectory, vae_trajectory,
};

pub fn trials() -> Vec<Trial> {
    harness::trials(&[
        ("losses_follow_pytorch_for_200_steps_of_every_optimizer", || {
            Ok(trajectory::check_all(&harness::device(&GpuOptions::default())?, 1e-4)?)
        }),
        ("losses_of_a_cnn_and_a_residual_network_follow_pytorch_for_50_steps", || {
            Ok(image_trajectory::check_images(&harness::device(&GpuOptions::default())?, 1e-3)?)
        }),
        ("gradients_of_small_networks_with_a_name_are_pytorchs", || {
            Ok(families::check_families(&harness::device(&GpuOptions::default())?, 1e-4, true)?)
        }),
        ("losses_of_transformers_follow_pytorch_for_50_steps", || {
            Ok(transformer_trajectory::check_transformers(&harness::device(&GpuOptions::default())?, 1e-3)?)
        }),
        ("losses_of_networks_on_graphs_follow_pytorch_for_50_steps", || {
            Ok(graph_trajectory::check_graphs(&harness::device(&GpuOptions::default())?, 1e-3)?)
        }),
        ("networks_on_graphs_have_the_same_bits_on_both_backends_in_exact_mode", || {
            let options = GpuOptions { exact: true, ..GpuOptions::default() };
            let found = graph_trajectory::bits(&harness::device(&options)?);
            let expected = graph_trajectory::bits(&CpuDevice::new(Some(2)).exact(true));
            let differing = found.iter().zip(&expected).find(|(a, b)| a != b);
            differing.map_or(Ok(()), |(tensor, _)| Err(format!("{} differs", tensor.0).into()))
        }),
        ("both_losses_of_adversarial_pairs_follow_pytorch_for_50_rounds", || {
            Ok(gan_trajectory::check_pairs(&harness::device(&GpuOptions::default())?, 1e-3)?)
        }),
        ("adversarial_pairs_have_the_same_bits_on_both_backends_in_exact_mode", || {
            let options = GpuOptions { exact: true, ..GpuOptions::default() };
            let found = gan_trajectory::bits(&harness::device(&options)?);
            let expected = gan_trajectory::bits(&CpuDevice::new(Some(2)).exact(true));
            let differing = found.iter().zip(&expected).find(|(a, b)| a != b);
            differing.map_or(Ok(()), |(tensor, _)| Err(format!("{} differs", tensor.0).into()))
        }),
        ("losses_parts_and_gradients_of_an_autoencoder_follow_pytorch_for_100_steps", || {
            Ok(vae_trajectory::check_autoencoder(&harness::device(&GpuOptions::default())?, 1e-4)?)
        }),
        ("every_operator_agrees_with_the_reference", || {
            Ok(agreement::every_operator(&harness::device(&GpuOptions::default())?)?)
        }),
        ("random_graphs_agree_with_the_reference", || {
            Ok(agreement::random_graphs(&harness::device(&GpuOptions::default())?, 30)?)
        }),
        ("random_convolutions_and_their_gradients_agree_with_the_reference", || {
            Ok(agreement::random_convolutions(&harness::device(&GpuOptions::default())?, 30)?)
        }),
        ("what_is_computed_again_changes_no_bit", || {
            Ok(saving::recomputing_changes_no_bit(&harness::device(&GpuOptions::default())?, &["auto"])?)
        }),
        ("gradients_in_mixed_precision_are_near_those_of_single_precision", || {
            Ok(saving::mixed_gradients_are_near(&harness::device(&GpuOptions::default())?)?)
        }),
        ("alternating_updates_follow_a_plain_loop", || {
            custom_loop::alternating_updates_follow_a_plain_loop(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("an_adversarial_network_draws_digits", || {
            examples::an_adversarial_network_draws_digits(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("a_custom_model_learns_quantiles", || {
            examples::a_custom_model_learns_quantiles(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("the_host_replaces_gradients", || {
            custom_loop::the_host_replaces_gradients(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("gradients_add_up", || {
            custom_loop::gradients_add_up(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("parts_and_bytes_train_the_same_bits", || {
            for exact in [false, true] {
                let options = GpuOptions { exact, ..GpuOptions::default() };
                parts::parts_and_bytes_train_the_same_bits(&harness::device(&options)?);
            }
            Ok(())
        }),
        ("a_custom_loop_reads_every_part", || {
            parts::a_custom_loop_reads_every_part(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("runs_draw_anew", || {
            custom_loop::runs_draw_anew(&harness::device(&GpuOptions::default())?);
            Ok(())
        }),
        ("long_loops_are_right", || Ok(agreement::long_loops(&harness::device(&GpuOptions::default())?)?)),
    ])
}
