-- Keep the candidates of the clusters that have a larger share of the target than of the candidates: importance
-- resampling as in DSIR (Xie et al. 2023), over a histogram of clusters of the vectors instead of n-grams. The clusters
-- are those of the candidates, by spherical k-means; a target document belongs to that of the nearest centroid. As a
-- cluster is all that counts, its documents have one score: which of them fit into the budget is drawn by the seed.
-- :min_score  FLOAT    NULL     log weight to reach, in nats: above 0 is likelier in the target; NULL for any
-- :budget     INTEGER  NULL     [1, inf)  documents to keep; NULL keeps all that reach min_score
-- :order      VARCHAR  'score'  score|sampled  the best first, or as in the paper drawn by log weight and Gumbel noise
-- :k          INTEGER  NULL     [1, inf)  clusters; NULL for the square root of the number of candidates
-- :smoothing  FLOAT    10       (0, inf)  documents of the candidates' distribution that are added to the target's
-- :seed       INTEGER  0        seeds the clusters and draws the noise
WITH placed AS (
    SELECT corpus, id, cluster FROM clusters('candidates', k := $k, seed := $seed)
),
members AS (
    SELECT p.cluster, c.embedding
    FROM placed AS p
    JOIN candidates AS c ON c.corpus = p.corpus AND c.id = p.id
    WHERE p.cluster IS NOT NULL
),
middles AS (
    SELECT centroid::INTEGER AS cluster, documents, embedding FROM centroids(members, by := 'cluster')
),
targets AS (
    SELECT corpus, id, embedding FROM target
),
hits AS (
    SELECT m.cluster, count(*) AS documents
    FROM targets AS t
    JOIN middles AS m EXACT NEAREST 1 BY SIMILARITY array_inner_product(t.embedding, m.embedding)
    GROUP BY m.cluster
),
shares AS (
    SELECT
        m.cluster,
        coalesce(h.documents, 0) AS documents,
        sum(coalesce(h.documents, 0)) OVER () AS total,
        m.documents / sum(m.documents) OVER () AS share
    FROM middles AS m
    LEFT JOIN hits AS h ON h.cluster = m.cluster
),
weights AS (
    SELECT
        cluster,
        ln((documents + $smoothing * share) / (total + $smoothing) / share) AS score
    FROM shares
),
drawn AS (
    SELECT p.corpus, p.id, w.score, gumbel_noise(concat_ws(':', $seed, p.corpus, p.id)) AS noise
    FROM placed AS p
    LEFT JOIN weights AS w ON w.cluster = p.cluster
),
weighed AS (
    SELECT *, CASE WHEN $order = 'sampled' THEN score + noise ELSE score END AS place
    FROM drawn
),
ranked AS (
    SELECT *, row_number() OVER (ORDER BY place DESC NULLS LAST, noise DESC, corpus, id) AS rank
    FROM weighed
),
decided AS (
    SELECT
        *,
        coalesce(score >= coalesce($min_score, score), false) AS reaches,
        rank <= coalesce($budget, rank) AS fits
    FROM ranked
)
SELECT
    corpus,
    id,
    reaches AND fits AS keep,
    CASE WHEN NOT reaches THEN 'below min_score' WHEN NOT fits THEN 'beyond the budget' END AS rule,
    CASE WHEN reaches THEN place ELSE score END AS score,
    CASE WHEN NOT reaches THEN $min_score ELSE min(place) FILTER (reaches AND fits) OVER () END AS threshold,
    rank,
    CASE WHEN score IS NULL THEN 'its vector has no direction' END AS reason
FROM decided
