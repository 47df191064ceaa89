-- Keep documents that stand for the others, by greedy facility location (Nemhauser et al. 1978, Minoux 1978). Each
-- document of the pool, and each of the target, is to have one like it among those kept. Each side has its share of
-- what is maximised: the mean cosine of its documents to the nearest one kept, where that is above 0. In the pool only
-- the k candidates nearest to a document can stand for it. The score is what a document adds, its partner the nearest
-- of those before it. It stops early where nothing adds anything: for the target alone, where each has its nearest.
-- :budget        INTEGER  NULL           [1, inf)  documents to keep; it must be given
-- :balanced      BOOLEAN  true           labels have equal parts of the budget, as far as they have documents
-- :target_share  FLOAT    0.5            [0, 1]  weight of the target: 1 is the target alone, 0 the pool alone
-- :k             INTEGER  100            [1, inf)  nearest candidates that can stand for a document of the pool
-- :sample        INTEGER  50000          [1, inf)  documents of the pool to stand for; NULL for all
-- :max_pairs     INTEGER  2000000000000  [0, inf)  pairs to compare at most
-- :seed          INTEGER  0              draws the sample
WITH picked AS (
    SELECT p.corpus, p.id, p.rank, p.score, p.partner_corpus, p.partner_id,
        CASE WHEN $balanced THEN c.label END AS label
    FROM facility_location(
        'target', 'candidates', budget := $budget, target_share := $target_share, k := $k, sample := $sample,
        seed := $seed, max_pairs := $max_pairs, balanced := $balanced
    ) AS p
    JOIN candidates AS c ON c.corpus = p.corpus AND c.id = p.id
)
SELECT
    corpus,
    id,
    rank IS NOT NULL AS keep,
    CASE WHEN rank IS NULL AND score > 0 THEN 'beyond the budget' WHEN score = 0 THEN 'adds nothing' END AS rule,
    score,
    min(score) FILTER (rank IS NOT NULL) OVER (PARTITION BY label) AS threshold,
    partner_corpus,
    partner_id,
    rank,
    CASE WHEN score IS NULL THEN 'its vector has no direction' END AS reason
FROM picked
