#!/usr/bin/env bash
# Builds the engine for browsers into web/pkg, and, with a folder, the page with the shipped examples:
#   web/build.sh             then: gridlight web EXPERIMENT --out page --engine web/pkg
#   web/build.sh page        then: python3 -m http.server --directory page
# It takes Rust with the target wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown`) and
# `cargo install wasm-bindgen-cli --version 0.2.130`. CARGO_WASM_FLAGS are further arguments of cargo, for a compiler
# without that target: -Zbuild-std=std,panic_abort. Binaryen's `wasm-opt` is not used: it made the engine no smaller once it
# is compressed, and that of Debian 12 breaks it.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "web/build.sh: $*" >&2; exit 1; }
command -v wasm-bindgen > /dev/null || fail "wasm-bindgen is missing: cargo install wasm-bindgen-cli --version 0.2.130"
wanted=0.2.130
found=$(wasm-bindgen --version | cut -d' ' -f2)
[ "$found" = "$wanted" ] || fail "wasm-bindgen is $found; the engine needs $wanted"
target=${CARGO_TARGET_DIR:-web/engine/target}
# Vectors of 128 bits, for what is computed on the processor: all browsers with WebGPU have them. Where this machine keeps its
# sources is nobody's business, and takes room in what is downloaded.
# shellcheck disable=SC2206
flags=(${RUSTFLAGS:-} -C target-feature=+simd128 "--remap-path-prefix=$PWD=gridlight")
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
  flags+=("--remap-path-prefix=$registry=.")
done
# shellcheck disable=SC2086
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") CARGO_TARGET_DIR="$target" cargo build --release \
  --manifest-path web/engine/Cargo.toml --target wasm32-unknown-unknown ${CARGO_WASM_FLAGS:-} ||
  fail "cargo could not build for browsers; has it the target? rustup target add wasm32-unknown-unknown"
rm -rf web/pkg
wasm-bindgen --target web --no-typescript --remove-name-section --remove-producers-section --out-dir web/pkg \
  "$target/wasm32-unknown-unknown/release/gridlight_web.wasm"
wasm=web/pkg/gridlight_web_bg.wasm
packed() { cat web/pkg/gridlight_web.js "$wasm" | "$@" | wc -c; }
echo "web/pkg: $(wc -c < "$wasm") bytes of WebAssembly; with its JavaScript, $(packed gzip -9) bytes compressed by gzip"
if command -v brotli > /dev/null; then
  echo "web/pkg: $(packed brotli -c -q 11 --lgwin=24) bytes compressed by brotli"
fi
if [ $# -gt 0 ]; then
  examples=()
  for name in digits-cnn traffic-1h digits-vae shakespeare traffic; do
    examples+=("assets/experiments/$name.toml")
  done
  ${GRIDLIGHT:-cargo run --quiet --} web "${examples[@]}" --engine web/pkg --out "$1"
fi
