#!/bin/sh
# Makes a model of the bundled one's kind out of random weights: every stage of its training, one after the other.
#
#   sh scripts/starter.sh DATA WORK               all of it: some thirteen hours on two cores
#   sh scripts/starter.sh DATA WORK 2             two hundredths of every stage: a quarter of an hour; the model cannot read
#
# DATA is a folder with books/ and corpora/ (resources/models/MODEL_CARD.md lists what stands in them). Stopped or killed at any
# time, the same command goes on where it was, bit for bit. The model is WORK/palimpsest-starter.gguf. Needs `sh
# scripts/setup.sh train`. THREADS: threads that compute; default: all cores. CHECKPOINT_S: seconds between checkpoints of the
# supervised stages; default: the trainer's own.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: sh scripts/starter.sh DATA WORK [PERCENT]" >&2
    exit 2
fi
for folder in "$1/books/md" "$1/corpora/squad"; do
    [ -d "$folder" ] || {
        echo "starter: there is no folder $folder; name the folder that holds books/ and corpora/" >&2
        exit 2
    }
done
percent=${3:-100}
case $percent in
100 | [1-9] | [1-9][0-9]) ;;
*)
    echo "starter: PERCENT is a whole number from 1 to 100, not $percent" >&2
    exit 2
    ;;
esac
mkdir -p "$2"
data=$(cd "$1" && pwd) work=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
threads=${THREADS:-0}

# part FIRST LAST: the last step of this share of a stage.
part() { echo $(($1 + (($2 - $1) * percent + 99) / 100)); }

trainer() { .venv/bin/python -m trainer --threads "$threads" "$@"; }

# stage NAME LAST OPTION...: supervised training to a step. A finished one is left at once.
stage() {
    name=$1 last=$2
    shift 2
    [ ! -e "$work/$name/done-$last" ] || return 0
    echo "starter: $name, to step $last"
    trainer starter --corpus "$data" --work "$work/$name" --steps "$last" \
        ${CHECKPOINT_S:+--checkpoint-s "$CHECKPOINT_S"} "$@"
    touch "$work/$name/done-$last"
}

# reinforce NAME SEED CREDIT
reinforce() {
    echo "starter: reinforcement, $1"
    trainer train benchmarks/rl-questions.toml --folder "$work/$1" \
        --set model.path="$work/before.gguf" --set data.file="$work/questions.jsonl" --set run.steps="$(part 0 40)" \
        --set run.threads="$reinforcement_threads" --set data.seed="$2" --set run.seed="$2" --set advantage.credit="$3"
}

stage course "$(part 0 4000)"
people="--after $work/course --from-step 3000 --natural 0.35 --seed 11"
alike="--after $work/people --from-step 4400 --seed 21"
# shellcheck disable=SC2086
{
    stage people "$(part 3000 5300)" $people
    first=$(part 4400 8000)
    stage alike "$first" $alike --natural 0.45 --natural-answers 0.65
    stage alike $((first + $(part 0 1200))) $alike --natural 0.25 --natural-answers 0.35
}
[ -e "$work/before.gguf" ] || trainer export --work "$work/alike" --average "$work/people" --output "$work/before.gguf"

if [ ! -e "$work/questions.jsonl" ]; then
    .venv/bin/python -m benchmarks.rl_questions --books "$data/books/md" --output "$work/questions.partial" \
        --squad "$data/corpora/squad/squad-dev-v1.1.train36.json"
    mv "$work/questions.partial" "$work/questions.jsonl"
fi
reinforcement_threads=$([ "$threads" = 0 ] && getconf _NPROCESSORS_ONLN || echo "$threads")
reinforce recall-1 1 recall
reinforce recall-2 2 recall
reinforce evidence-1 1 evidence
reinforce evidence-2 2 evidence
.venv/bin/palimpsest train export "$work/recall-1" --average "$work/recall-2" --average "$work/evidence-1" \
    --average "$work/evidence-2" --name "Palimpsest Starter" --output "$work/palimpsest-starter.gguf"
