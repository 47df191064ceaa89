-- Drop the sources whose labels cannot be relied on for this target, or weigh all by how far they can: how often the
-- labels of the nearest target documents agree with a source's own, beyond chance (Cohen's kappa), drawn towards the mean
-- of the sources as far as their differences may be chance. A source goes only where the whole 95 % interval of its
-- trust is below min_trust, which is wide where few target documents judge. It does not look at a document's own label:
-- label_noise does. Documents without a label are kept.
-- :action     VARCHAR  'drop'  drop|weight  what cannot be relied on, or in addition weigh the others by their trust
-- :min_trust  FLOAT    0.05    (0, 1]  trust to reach: 0 is labels dealt out at random, 1 those of the neighbours
-- :k          INTEGER  5       [1, inf)  nearest target documents whose labels count
WITH trusted AS (
    SELECT
        source, trust, if(trust < $min_trust, $min_trust, trust) AS worth,
        $min_trust - coalesce(high - trust, 0) AS threshold
    FROM trust('target', 'candidates', k := $k)
),
decided AS (
    SELECT *, coalesce(trust >= threshold, true) AS is_trusted
    FROM trusted
),
weighed AS (
    SELECT *, worth / max(worth) FILTER (is_trusted) OVER () AS share
    FROM decided
)
SELECT
    c.corpus,
    c.id,
    w.is_trusted OR c.label IS NULL AS keep,
    CASE WHEN NOT w.is_trusted AND c.label IS NOT NULL THEN 'no trust in source ' || c.source END AS rule,
    w.trust AS score,
    w.threshold,
    CASE WHEN $action = 'weight' AND w.is_trusted AND c.label IS NOT NULL THEN c.weight * w.share END AS weight,
    CASE
        WHEN c.label IS NULL THEN 'it has no label'
        WHEN w.trust IS NULL THEN 'the labels of its source cannot be told from chance'
        WHEN w.is_trusted AND w.trust < $min_trust THEN 'its source is below min_trust, which may be chance'
    END AS reason
FROM candidates AS c
JOIN weighed AS w ON w.source IS NOT DISTINCT FROM c.source
