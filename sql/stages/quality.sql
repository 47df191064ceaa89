-- Drop what is hardly text: too short, too long, symbols, repetition, boilerplate. The rules are those of Gopher (Rae
-- et al. 2021) and C4 (Raffel et al. 2020), adapted to short texts and loosened; the measures are in
-- macros/quality.sql. The first rule that fails, in the order below, is the one reported; a measure that a text is too
-- short for does not fail.
-- judges: each alone
-- :min_words           INTEGER  2     [0, inf)  words a text must have; a character of Chinese, Japanese, Thai … is one
-- :max_words           INTEGER  1000  [0, inf)  words a text may have
-- :min_word_length     FLOAT    1.5   [0, inf)  mean characters a word must have; scripts with spaces, from 5 words on
-- :max_word_length     FLOAT    12    [0, inf)  mean characters a word may have; scripts with spaces, from 5 words on
-- :max_symbols         FLOAT    0.5   [0, inf)  hash signs and ellipses for each word
-- :min_letters         FLOAT    0.4   [0, 1]  share of letters among the characters that are not white space
-- :max_repeated_words  FLOAT    0.4   [0, 1]  share of runs of three words that came before; from ten words on
-- :max_repeated_lines  FLOAT    0.3   [0, 1]  share of lines that came before; from three lines on
-- :boilerplate         VARCHAR  'lorem ipsum|javascript is (disabled|required)'  regular expression for lower case text
WITH measured AS (
    SELECT
        c.corpus,
        c.id,
        word_count(c.text) AS words,
        mean_word_length(c.text) AS word_length,
        symbol_ratio(c.text) AS symbols,
        letter_share(c.text) AS letters,
        repeated_trigrams(c.text) AS repeated_words,
        repeated_lines(c.text) AS same_lines,
        len(regexp_extract_all(lower(c.text), $boilerplate)) AS phrases
    FROM candidates AS c
),
checked AS (
    SELECT
        corpus,
        id,
        [
            {
                'rule': 'too few words', 'score': words::DOUBLE, 'threshold': $min_words::DOUBLE,
                'fails': words < $min_words
            },
            {'rule': 'too many words', 'score': words, 'threshold': $max_words, 'fails': words > $max_words},
            {
                'rule': 'words too short', 'score': word_length, 'threshold': $min_word_length,
                'fails': word_length < $min_word_length
            },
            {
                'rule': 'words too long', 'score': word_length, 'threshold': $max_word_length,
                'fails': word_length > $max_word_length
            },
            {'rule': 'too many symbols', 'score': symbols, 'threshold': $max_symbols, 'fails': symbols > $max_symbols},
            {'rule': 'too few letters', 'score': letters, 'threshold': $min_letters, 'fails': letters < $min_letters},
            {
                'rule': 'repeated words', 'score': repeated_words, 'threshold': $max_repeated_words,
                'fails': repeated_words > $max_repeated_words
            },
            {
                'rule': 'repeated lines', 'score': same_lines, 'threshold': $max_repeated_lines,
                'fails': same_lines > $max_repeated_lines
            },
            {'rule': 'boilerplate', 'score': phrases, 'threshold': 0, 'fails': phrases > 0}
        ] AS checks
    FROM measured
),
failed AS (
    SELECT corpus, id, first_failure(checks) AS failure
    FROM checked
)
SELECT
    corpus,
    id,
    failure IS NULL AS keep,
    failure.rule AS rule,
    failure.score AS score,
    failure.threshold AS threshold
FROM failed
