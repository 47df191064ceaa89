-- Keep the test and dev documents, and copies of them, out of the mix. Three layers look for them: the same text, a run
-- of words in common (the 13-grams of GPT-3, Brown et al. 2020, appendix C; of a shorter text the whole), and the cosine
-- to the nearest test or dev document. A fixed cosine means a different thing for each encoder: look at the pairs just
-- under the threshold before trusting it; fpr = 1e-6 instead is the one that of a million random pairs of a pool and a
-- test document one reaches. Because one changed word can move a short text far, a text that shares most of its words
-- with its nearest document is a copy too. Every row names its nearest or copied document; that score is there for the
-- ledger, and choosing by it would be choosing by the test set. The reason lists every layer that found it. A layer
-- that could check no test document is an error.
-- judges: each alone
-- reads: test
-- fpr: max_similarity of pool and test
-- :max_similarity  FLOAT    0.9  [-1, inf)  cosine to a test or dev document that makes a near copy; above 1: not looked at
-- :max_overlap     FLOAT    0.6  [0, inf)  share of common words (Jaccard) that makes it a copy; above 1: not looked at
-- :ngram           INTEGER  13   [0, inf)  words of a run in common that make a copy; 0 does without this layer
-- :min_words       INTEGER  5    [0, inf)  words of a shorter test or dev document from which its whole text is a run
-- :max_runs        FLOAT    0    [0, 1]  share of a document's runs that a candidate may have in common with it
WITH held_out AS (
    SELECT 'test' AS part, corpus, id, text, normalised(text) AS words, embedding FROM test
    UNION ALL
    SELECT 'dev' AS part, corpus, id, text, normalised(text) AS words, embedding FROM dev
    ORDER BY part DESC, corpus, id
),
unchecked AS (
    SELECT string_agg(layer, ' and ') AS layers
    FROM decontamination_coverage('test', ngram := greatest($ngram, 1), min_words := $min_words)
    WHERE checked = 0 AND (layer <> 'run' OR $ngram > 0)
),
copies AS (
    SELECT
        c.corpus,
        c.id,
        h.part,
        h.corpus AS partner_corpus,
        h.id AS partner_id,
        array_inner_product(c.embedding, h.embedding) AS similarity
    FROM candidates AS c
    JOIN held_out AS h ON normalised(c.text) = h.words
),
same_text AS (
    SELECT *
    FROM copies
    QUALIFY row_number() OVER (
        PARTITION BY corpus, id ORDER BY part DESC, similarity DESC, partner_corpus, partner_id
    ) = 1
),
runs AS (
    SELECT s.corpus, s.id, h.part, s.partner_corpus, s.partner_id, s.share
    FROM shared_runs(
        'candidates', (SELECT corpus, id, text FROM held_out WHERE $ngram > 0),
        ngram := greatest($ngram, 1), min_words := $min_words
    ) AS s
    JOIN held_out AS h ON h.corpus = s.partner_corpus AND h.id = s.partner_id
    WHERE s.share > $max_runs
),
nearest AS (
    SELECT
        c.corpus,
        c.id,
        h.part,
        h.corpus AS partner_corpus,
        h.id AS partner_id,
        array_inner_product(c.embedding, h.embedding) AS similarity,
        word_overlap(normalised(c.text), h.words) AS overlap
    FROM candidates AS c
    LEFT JOIN held_out AS h EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, h.embedding)
),
-- What each layer says, in the order in which they count.
layers AS (
    SELECT
        n.corpus,
        n.id,
        list_filter(
            [
                {
                    'layer': 'text', 'rule': 'same text as ' || s.part, 'score': s.similarity,
                    'threshold': NULL, 'corpus': s.partner_corpus, 'id': s.partner_id,
                    'hit': s.part IS NOT NULL
                },
                {
                    'layer': 'run', 'rule': 'words in a row of ' || r.part, 'score': r.share,
                    'threshold': $max_runs, 'corpus': r.partner_corpus, 'id': r.partner_id,
                    'hit': r.part IS NOT NULL
                },
                {
                    'layer': 'cosine', 'rule': 'near copy of ' || n.part, 'score': n.similarity,
                    'threshold': $max_similarity, 'corpus': n.partner_corpus, 'id': n.partner_id,
                    'hit': n.similarity >= $max_similarity
                },
                {
                    'layer': 'words', 'rule': 'same words as ' || n.part, 'score': n.overlap,
                    'threshold': $max_overlap, 'corpus': n.partner_corpus, 'id': n.partner_id,
                    'hit': n.overlap >= $max_overlap
                }
            ],
            lambda layer: layer.hit
        ) AS hits,
        n.similarity,
        n.partner_corpus,
        n.partner_id
    FROM nearest AS n
    LEFT JOIN same_text AS s ON s.corpus = n.corpus AND s.id = n.id
    LEFT JOIN runs AS r ON r.corpus = n.corpus AND r.id = n.id
)
SELECT
    l.corpus,
    l.id,
    CASE
        WHEN u.layers IS NULL THEN len(l.hits) = 0
        ELSE error(format(
            'no test document can be checked by {}: a leak would go unseen. By text it must have one, by run (words in '
            'a row) at least {} words (ngram = 0 does without), by cosine a vector that is not zero', u.layers, $min_words
        ))
    END AS keep,
    l.hits[1].rule AS rule,
    CASE WHEN len(l.hits) = 0 THEN l.similarity ELSE l.hits[1].score END AS score,
    CASE WHEN len(l.hits) = 0 THEN $max_similarity ELSE l.hits[1].threshold END AS threshold,
    coalesce(l.hits[1].corpus, l.partner_corpus) AS partner_corpus,
    coalesce(l.hits[1].id, l.partner_id) AS partner_id,
    CASE
        WHEN len(l.hits) > 0 THEN 'found by ' || array_to_string(list_transform(l.hits, lambda hit: hit.layer), ', ')
    END AS reason
FROM layers AS l
CROSS JOIN unchecked AS u
