//! Byte pairs of a text: the most frequent pair of neighbouring tokens becomes a token, again and again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use super::{BytePairs, spelling, words};

/// Pairs that a text has less often do not become tokens.
const LEAST: i64 = 2;

/// The tokens of a text, at most `size`, of which 256 are the bytes. Of pairs that are as frequent, the one whose tokens
/// came first is taken, as in Hugging Face's `tokenizers`.
pub fn fit(text: &str, size: usize) -> BytePairs {
    let spelling = spelling();
    let mut alphabet = spelling;
    alphabet.sort_unstable();
    let mut tokens: Vec<String> = alphabet.iter().map(char::to_string).collect();
    let mut numbers: HashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let byte: Vec<u32> = spelling.iter().map(|c| numbers[&c.to_string()]).collect();
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for word in words(text) {
        *counts.entry(word).or_default() += 1;
    }
    let spelled = |word: &str| word.bytes().map(|b| byte[usize::from(b)]).collect();
    let mut words: Vec<(Vec<u32>, i64)> =
        counts.into_iter().map(|(word, count)| (spelled(word), count)).collect();
    let mut pairs = Counts::default();
    for (at, (word, count)) in words.iter().enumerate() {
        pairs.add(word, *count, at);
    }
    let mut queue: BinaryHeap<(i64, Reverse<[u32; 2]>)> =
        pairs.of.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
    let mut merges = vec![];
    while tokens.len() < size {
        let Some((count, Reverse(pair))) = queue.pop() else { break };
        let now = pairs.of.get(&pair).copied().unwrap_or(0);
        if now != count {
            queue.push((now, Reverse(pair)));
            continue;
        }
        if count < LEAST {
            break;
        }
        let both = [&*tokens[pair[0] as usize], &*tokens[pair[1] as usize]].concat();
        let number = *numbers.entry(both.clone()).or_insert_with(|| {
            tokens.push(both);
            tokens.len() as u32 - 1
        });
        merges.push(pair);
        let mut changed = BTreeSet::new();
        for at in pairs.words.remove(&pair).unwrap_or_default() {
            let (word, count) = &mut words[at];
            pairs.add(word, -*count, at);
            merge(word, pair, number);
            changed.extend(pairs.add(word, *count, at));
        }
        queue.extend(changed.into_iter().filter(|p| p.contains(&number)).map(|p| (pairs.of[&p], Reverse(p))));
    }
    BytePairs { tokens, merges, ..BytePairs::default() }
}

/// How often pairs occur, and in which words.
#[derive(Default)]
struct Counts {
    of: HashMap<[u32; 2], i64>,
    words: HashMap<[u32; 2], BTreeSet<usize>>,
}

impl Counts {
    /// Counts the pairs of word number `at`, and returns them.
    fn add(&mut self, word: &[u32], count: i64, at: usize) -> Vec<[u32; 2]> {
        let pairs: Vec<[u32; 2]> = word.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        for &pair in &pairs {
            *self.of.entry(pair).or_default() += count;
            if count > 0 {
                self.words.entry(pair).or_default().insert(at);
            }
        }
        pairs
    }
}

/// Replaces a pair, from the left.
fn merge(word: &mut Vec<u32>, pair: [u32; 2], by: u32) {
    let mut at = 0;
    while at + 1 < word.len() {
        if word[at..at + 2] == pair {
            word[at] = by;
            word.remove(at + 1);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_pairs_become_tokens() {
        // "low" 5 times, "lower" twice, as in the paper: "lo" and "low" are the first.
        let pairs = fit(&("low ".repeat(5) + &"lower ".repeat(2)), 300);
        let token = |n: u32| pairs.tokens[n as usize].clone();
        let merged: Vec<String> = pairs.merges.iter().map(|&[a, b]| token(a) + &token(b)).collect();
        assert_eq!(&merged[..2], ["lo", "low"]);
        assert!(merged.contains(&"Ġlow".to_string()), "{merged:?}");
        assert_eq!(pairs.tokens.len(), 256 + pairs.merges.len());
    }

    #[test]
    fn no_more_tokens_than_asked_for() {
        let text = "to be or not to be that is the question ".repeat(20);
        assert_eq!(fit(&text, 256).merges.len(), 0);
        assert_eq!(fit(&text, 262).tokens.len(), 262);
        // Once every word is a token, nothing is left to merge.
        let all = fit(&text, 10_000);
        assert!(all.tokens.len() < 300);
        assert_eq!(all.encode(" question").len(), 1);
    }
}
