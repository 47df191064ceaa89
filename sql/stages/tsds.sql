-- Keep a sample of the candidates to which the target is best transported: near to it, but spread over many, and over
-- near duplicates as over one (TSDS, KNN-KDE, Liu, Karbasi and Rekatsinas, NeurIPS 2024; what exactly is solved stands at
-- the table function tsds). A candidate's probability is the mass it gets. Drawn without replacement, by Gumbel noise; if
-- alpha would give fewer than the budget any mass, it is spread over as many as that. Or, as in the paper, with
-- replacement: the weight is then how often a document was drawn, and there are fewer documents than the budget.
-- What has no mass has the cosine to its nearest target document, and as threshold how far the mass of that one reaches.
-- A fixed cosine means a different thing for each encoder: fpr = 1e-6 instead of near_duplicate is the one that of a
-- million random pairs within the pool one reaches. Densities compare every listed candidate with all.
-- fpr: near_duplicate of pool and pool
-- :budget          INTEGER  NULL           [1, inf)  documents to draw; NULL keeps all that have a probability
-- :alpha           FLOAT    0.5            (0, 1]  weight of nearness against diversity; 1 gives all to the nearest
-- :near_duplicate  FLOAT    0.9            [0, 1]  cosine from which candidates begin to share; 1: not even copies do
-- :same_label      BOOLEAN  true           whether a target document gives to candidates of its own label only
-- :replacement     BOOLEAN  false          whether a document may be drawn more than once
-- :max_pairs       INTEGER  2000000000000  [0, inf)  pairs to compare for densities at most
-- :seed            INTEGER  0              draws the sample
WITH targets AS (
    SELECT corpus, id, pairing_label(label, $same_label) AS kind, embedding
    FROM target
    WHERE array_inner_product(embedding, embedding) > 0
    ORDER BY corpus, id
),
plan AS (
    SELECT partner_corpus, partner_id, corpus, id, similarity, density, mass
    FROM tsds(
        'target', 'candidates', alpha := $alpha, near_duplicate := $near_duplicate, same_label := $same_label,
        support := CASE WHEN $replacement THEN 1 ELSE coalesce($budget, 1) END, max_pairs := $max_pairs
    )
),
reaches AS (
    SELECT partner_corpus, partner_id, min(similarity) AS reach FROM plan GROUP BY partner_corpus, partner_id
),
-- Rounded, because the order in which masses are added is not the same in every run.
shares AS (
    SELECT
        corpus,
        id,
        round(sum(mass), 15) AS probability,
        min(density) AS density,
        arg_min(
            {'corpus': partner_corpus, 'id': partner_id}, (-mass, -similarity, partner_corpus, partner_id)
        ) AS partner
    FROM plan
    GROUP BY corpus, id
),
placed AS (
    SELECT
        *,
        ln(probability) + gumbel_noise(concat_ws(':', $seed, corpus, id)) AS place,
        sum(probability) OVER (ORDER BY corpus, id) AS upto
    FROM shares
),
numbers AS (
    SELECT unnest(range(CASE
        WHEN NOT $replacement THEN 0
        ELSE coalesce($budget, error('tsds: replacement needs a budget: how many documents to draw'))
    END)) AS number
),
draws AS (
    SELECT uniform_noise(concat_ws(':', $seed, 'draw', number)) * (SELECT max(upto) FROM placed) AS draw FROM numbers
),
drawn AS (
    SELECT p.corpus, p.id, count(*) AS times
    FROM draws AS d
    ASOF JOIN placed AS p ON d.draw <= p.upto
    GROUP BY p.corpus, p.id
),
ranked AS (
    SELECT *, row_number() OVER (ORDER BY place DESC, corpus, id) AS rank
    FROM placed
),
nearest AS (
    SELECT
        c.corpus, c.id, t.corpus AS partner_corpus, t.id AS partner_id,
        array_inner_product(c.embedding, t.embedding) AS similarity
    FROM candidates AS c
    JOIN (SELECT * FROM targets AS o WHERE o.kind = pairing_label(c.label, $same_label)) AS t
        EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, t.embedding)
),
directions AS (
    SELECT corpus, id, label, weight, array_inner_product(embedding, embedding) > 0 AS has_direction FROM candidates
),
joined AS (
    SELECT
        c.*,
        s.probability,
        s.density,
        s.place,
        s.rank,
        d.times,
        n.similarity,
        coalesce(s.partner.corpus, n.partner_corpus) AS partner_corpus,
        coalesce(s.partner.id, n.partner_id) AS partner_id,
        CASE WHEN $replacement THEN d.times IS NOT NULL ELSE coalesce(s.rank <= coalesce($budget, s.rank), false) END
            AS is_kept
    FROM directions AS c
    LEFT JOIN ranked AS s ON s.corpus = c.corpus AND s.id = c.id
    LEFT JOIN drawn AS d ON d.corpus = c.corpus AND d.id = c.id
    LEFT JOIN nearest AS n ON n.corpus = c.corpus AND n.id = c.id AND c.has_direction
)
SELECT
    j.corpus,
    j.id,
    j.is_kept AS keep,
    CASE
        WHEN j.probability IS NULL THEN 'no mass'
        WHEN NOT j.is_kept THEN 'not drawn'
    END AS rule,
    CASE WHEN j.probability IS NULL THEN j.similarity WHEN $replacement THEN j.probability ELSE j.place END AS score,
    CASE
        WHEN j.probability IS NULL THEN r.reach
        WHEN NOT $replacement THEN min(j.place) FILTER (j.is_kept) OVER ()
    END AS threshold,
    j.partner_corpus,
    j.partner_id,
    CASE WHEN NOT $replacement THEN j.rank END AS rank,
    CASE WHEN $replacement THEN j.weight * j.times END AS weight,
    CASE
        WHEN j.probability IS NOT NULL THEN format('probability {:.3g}, density {:.2f}', j.probability, j.density)
        WHEN NOT j.has_direction THEN 'its vector has no direction'
        WHEN $same_label AND j.label IS NULL THEN 'it has no label'
        WHEN j.partner_id IS NULL AND $same_label THEN 'no target document has its label'
        WHEN j.partner_id IS NULL THEN 'there is no target document'
    END AS reason
FROM joined AS j
LEFT JOIN reaches AS r ON r.partner_corpus = j.partner_corpus AND r.partner_id = j.partner_id
