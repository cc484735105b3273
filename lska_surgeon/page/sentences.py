"""The words of a page in each language, and sentences that come from elsewhere: notes, and why something is not there.

What other rooms say carries its form and its values (`wording.Said`), and each form has its row here; a test looks for
those that have none. What has no form, for it is a message of a command or stands in a record, is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from ..wording import Listed, Said, printable_lines

#: Name -> in English and in Chinese.
_WORDS = {
    "lang": ("en", "zh-CN"),
    "report": ("Report", "报告"),
    "networks": ("Networks", "网络一览"),
    "network": ("network", "网络"),
    "edits": ("edits", "改动"),
    "base_row": ("the base", "基线"),
    "larger": ("the next larger scale", "更大一级的基线"),
    "params": ("params", "参数量"),
    "params_more": ("added parameters", "参数增量"),
    "gflops": ("GFLOPs", "GFLOPs"),
    "gflops_more": ("added GFLOPs", "GFLOPs 增量"),
    "latency": ("latency, ms", "延迟（毫秒）"),
    "results": ("Results", "训练结果"),
    "minus_base": (" - base", " 与基线之差"),
    "of": (" of ", " / "),
    "role base": (" (base)", "（基线）"),
    "role larger": (" (larger)", "（更大一级）"),
    "at_stopping": (" at stopping", "（停止时）"),
    "results_hint": (
        "Mean ± standard deviation over seeds; differences to the base are paired by seed.",
        "各随机种子的均值 ± 标准差；与基线之差按种子配对。",
    ),
    "plots": ("Plots", "图表"),
    "plot": ("Accuracy against GFLOPs", "精度与计算量"),
    "time_plot": ("Accuracy against latency", "精度与延迟"),
    "plot_costs": ("Parameters against GFLOPs", "参数量与计算量"),
    "plot_hint": ("A point leads to its network.", "点击数据点可跳到对应的网络。"),
    "bars_hint": (
        "Bars are the standard deviation over seeds; the dashed line is the base.",
        "误差线为各随机种子的标准差；虚线为基线。",
    ),
    "kernel_plot": ("Accuracy against kernel size", "精度随卷积核大小的变化"),
    "kernel": ("kernel size", "卷积核大小"),
    "curves": ("Cost against kernel size", "开销随卷积核大小的变化"),
    "curves_hint": (
        "What the paper's designs would add at these positions. Filled points lead to networks here.",
        "论文中的几种设计放在这些位置上会增加的开销。实心点可跳到本页中的网络。",
    ),
    "fields": ("Effective receptive fields", "有效感受野"),
    "fields_hint": (
        "Bright is what the centre pixel of a map sees, as a part of the brightest.",
        "越亮，特征图中心像素看到得越多；以自身最亮的像素为 1。",
    ),
    "areas": ("Part of the image that holds a share of what is seen", "包含相应贡献的区域占图片面积的比例"),
    "at": ("at", "位置"),
    "all_of_it": ("all of it", "整张图片"),
    "drawings": ("Drawings", "结构图"),
    "missing": ("Not there yet", "尚缺的内容"),
    "missing costs": ("Costs of whole networks", "整个网络的开销"),
    "missing results": ("Results of trainings", "训练结果"),
    "missing latency": ("Latency", "延迟"),
    "missing fields": ("Receptive fields", "有效感受野"),
    "stop": (". ", "。"),
    "missing_hint": ("The command that would bring it:", "可用这条命令补上："),
    "made_by": ("Made by", "生成命令"),
    "image": ("Costs for one image of", "开销按单张图片计算，尺寸为"),
    "unit": (
        "GFLOPs = 2 x GMACs as fvcore counts them, fused, eval mode.",
        "GFLOPs = 2 × GMACs，由 fvcore 统计（融合后，推理模式）。",
    ),
    "copy": ("Copy", "复制"),
    "copy_md": ("Copy as Markdown", "复制为 Markdown"),
    "copy_latex": ("Copy as LaTeX", "复制为 LaTeX"),
    "copied": ("Copied", "已复制"),
    "sort_hint": ("A heading sorts the table.", "点击表头可排序。"),
    "skip": ("To the table", "跳到表格"),
    "contents": ("Contents", "目录"),
    "unknown": ("not known", "未知"),
    "top": ("Back to the table", "回到表格"),
}
#: What the table of results has from `lska-surgeon results`, which is in English.
_CHINESE = {
    "column network": "网络",
    "column data": "数据",
    "column params": "参数量",
    "column ms": "毫秒",
    "column 95% interval": "95% 区间",
    "column 95% interval at stopping": "95% 区间（停止时）",
    "column p (adjusted)": "p（校正后）",
    "column seeds": "种子数",
    "column verdict": "结论",
    "column warnings": "警告",
    "verdict gain": "有提升",
    "verdict loss": "有下降",
    "verdict not significant": "不显著",
    "verdict too few seeds": "种子太少",
    "verdict nothing learned": "什么也没学到",
    "verdict does nothing": "算子不起作用",
    "verdict no gain shown": "未看出提升",
    "verdict dropped": "已放弃",
    "verdict open": "尚未决定",
    "verdict passes": "通过",
    "verdict does not pass": "不通过",
    "verdict not decided": "未能决定",
    "verdict chosen": "选中",
    "verdict not chosen": "未选中",
    "verdict below plain scaling": "不如直接放大",
    "warning early stop": "提前停止",
    "warning equal seeds": "种子结果相同",
    "warning NaN": "损失不是有限值",
    "warning no results": "没有结果",
    "warning not compared": "网络无法比较",
    "warning nothing transferred": "起点的权重未用上",
    "warning other arguments": "训练参数不同",
    "warning other network": "网络不符",
    "warning resumed": "续训",
    "warning several runs": "有几次运行",
    "warning smaller batch": "批大小减小",
    "warning unreadable": "读不出",
}
WORDS: dict[str, dict[str, str]] = {
    "en": {name: english for name, (english, _) in _WORDS.items()},
    "zh": {**{name: chinese for name, (_, chinese) in _WORDS.items()}, **_CHINESE},
}
_BETWEEN = {", ": "，", "; ": "；"}
#: Form in English -> in Chinese.
CHINESE = {
    "{number} seed{s}": "{number} 个种子",
    "{number} seed-and-data unit{s}": "{number} 个“种子和数据集”组合",
    "{number} round{s}": "{number} 轮",
    "seed{s} {seeds}": "种子 {seeds}",
    "{network}: {note}": "{network}：{note}",
    # Of all runs.
    "{name}: no round is complete yet{advice}": "{name}：还没有一轮是完整的",
    "{name}: none of {number} run{s} is done yet{advice}": "{name}：{number} 个运行里还没有一个做完",
    "{number} of {of} run{s} {are} not in these numbers: {states}": "{of} 个运行里有 {number} 个未计入：{states}",
    "{number} {state}": "{number} 个{state}",
    "waiting": "等待中",
    "running": "正在运行",
    "failed": "失败",
    "stale": "过期",
    "interrupted": "中断",
    "unreadable": "读不出",
    "left out": "不予计入",
    "equal to another seed": "与另一个种子相同",
    "not a number": "不是数值",
    "not measured": "没有测量",
    "{metric} is not measured in {number} run{s}; if older: {anew}":
    "{number} 个运行里没有测 {metric}；如果是旧版本训练的：{anew}",
    "to train one anew, move its folder aside and call ablate":
    "要重新训练某个运行，请把它的文件夹移到一边，再执行 ablate",
    "runs were trained with different releases: {told}": "各运行训练时的软件版本不同：{told}",
    "nothing was learned: {metric} is 0.000 in {which}, so that nothing is compared; look at the images and labels "
    "(train_batch0.jpg, with plots: true), or train longer":
    "什么也没学到：{which}的 {metric} 是 0.000，所以不作比较；请查看图片和标签（写 plots: true，看 "
    "train_batch0.jpg），或者训练更久",
    "every run": "所有运行",
    "{networks} and the base": "{networks} 和基线",
    "equal to {base} in every digit of every epoch ({seeds}){so}":
    "每个 epoch 的每一位数字都与 {base} 相同（{seeds}）{so}",
    ": the operator does nothing, or the base was trained in its place": "：算子不起作用，或者训练的其实是基线",
    "plain scaling gives {scaled:.4f} at its GFLOPs, and it {own:.4f} (p {p:.3g})":
    "在它的 GFLOPs 上，直接放大可得 {scaled:.4f}，它是 {own:.4f}（p {p:.3g}）",
    "{network}: {dominated}: a larger base does better for the same cost":
    "{network}：{dominated}：同样的开销，更大的基线更好",
    # What the seeds allow.
    "with {seeds} no p below {p:.3g} exists{so}": "{seeds}时，p 不可能低于 {p:.3g}{so}",
    ": no difference can be significant at 5%, which takes {least} seeds":
    "：在 5% 的水平上任何差别都不可能显著，至少要 {least} 个种子",
    "paired differences of {metric} spread by {sd:.4f} from seed to seed{found}":
    "{metric} 的配对差在各种子之间的标准差是 {sd:.4f}{found}",
    "; so few seeds resolve no difference, however large": "；种子这么少，多大的差别都分辨不出",
    "; the smallest true difference that {n} seeds detect in 80% of experiments is {alone:.4f}{of}":
    "；{n} 个种子在 80% 的实验里能看出的最小真实差别是 {alone:.4f}{of}",
    " alone, and about {corrected:.4f} as one of {comparisons} comparisons":
    "（单独一次比较），作为 {comparisons} 次比较之一时约为 {corrected:.4f}",
    "to detect a true difference of {resolve:g} with 80% power takes {takes} seeds{of}":
    "要以 80% 的功效看出 {resolve:g} 的真实差别，需要 {takes} 个种子{of}",
    ", about {takes} as one of {comparisons}": "，作为 {comparisons} 次比较之一时约需 {takes} 个",
    "more than 10,000": "一万以上",
    "on all data together, each scaled by its own spread: {told}": "所有数据集合起来（各按自己的波动缩放）：{told}",
    "{name} {verdict} (p {p:.3f}, {n} pairs)": "{name} {verdict}（p {p:.3f}，{n} 对）",
    "{name}: a {verdict} on {data} alone, which all data together do not show":
    "{name}：只在 {data} 上{verdict}，所有数据集合起来并不如此",
    # Of single runs; what a record says of one is in English.
    "{text} ({seeds})": "{text}（{seeds}）",
    "{text}": '{kind}：<code lang="en">{text}</code>',
    "{seeds} came to equal results, and count as one": "{seeds}的结果完全相同，只算一次",
    "went on after an interruption, with other random images": "中断之后续训，随机抽取的图片有所不同",
    # What is counted, and measured.
    "GFLOPs are at {height}x{width} pixels{other}": "GFLOPs 按 {height}x{width} 像素统计{other}",
    ", and it was trained at {trained}: the recipe's imgsz says where they are counted":
    "，而训练用的是 {trained}：统计所用的尺寸由配方的 imgsz 决定",
    "params and GFLOPs are counted with nc: {nc}, as {base} says, and it was trained for the {classes} classes of "
    "{name}: write nc: {classes} into the base to count that":
    "参数量和 GFLOPs 按 {base} 里的 nc: {nc} 统计，而训练用的 {name} 有 {classes} 个类别：要按后者统计，"
    "请在基线里写 nc: {classes}",
    "latency is not measured yet: {measure}": "还没有测量延迟：<code>{measure}</code>",
    "{error}; delete it and measure again: {measure}":
    '<code lang="en">{error}</code>；请删除它并重新测量：<code>{measure}</code>',
    "latency is not measured of {networks}, as they are now: {measure}":
    "这些网络现在的样子还没有测过延迟：{networks}；<code>{measure}</code>",
    "latency is not measured in {runtimes}: {measure}": "还没有在 {runtimes} 里测过延迟：<code>{measure}</code>",
    "{column}: median for one image, {said}":
    "{runtime}：单张图片延迟的中位数；{device}，线程数 {threads}，批大小 {batch}，{rounds} 轮，精度 "
    "{precision}，torch {torch}，ultralytics {ultralytics}；第一个模型与它自己相比是 {again}{noisy}",
    ", which is too noisy": "，这台机器干扰太大，测不准",
    "{count} × {side}×{side}, seed {seeds}": "{count} 张图片，{side}×{side}，种子 {seeds}",
    "the recipe does not train, as the one that this shows does": "这个配方不训练；下面的命令显示一个会训练的配方",
    # Of an ablation in rounds.
    "{number} run{s} beyond what is decided {are} not in these numbers": "决定之后的 {number} 个运行未计入",
    "{state} after {took} of {most} trainings ({rounds}{promise}): {decisions}{chosen}":
    "{most} 次训练里做了 {took} 次，{state}（{rounds}{promise}）：{decisions}{chosen}",
    "decided": "已有决定",
    "so far": "目前",
    "; {best} is chosen, which is not shown: to show it, compare it on fresh seeds":
    "；选中 {best}，但这不是证明：要证明，请用新的种子比较",
    "no variant": "基线（没有选变体）",
    "; at most 5% of tables hold {wrong}, whenever you look": "；无论何时查看，至多 5% 的表格含有{wrong}",
    "a false gain": "假的提升",
    "a false pass, and as many a false refusal": "假的通过，假的不通过也至多这么多",
    "under {drop:.0%} chance of a gain by the end": "到最后确有提升的可能低于 {drop:.0%}",
    "under 2% chance of being better than the one ahead": "好于领先者的可能低于 2%",
    "{names} {word} {when}": "{names} {word}{when}",
    "{names} {word}": "{names} {word}",
    "({why})": "（{why}）",
    "after {seeds}": "（{seeds}之后）",
    "no gain shown: dropped": "未看出提升，已放弃",
    "nothing yet": "还没有",
    "without a result, and counted as no difference: {failed}": "没有结果，按没有差别计：{failed}",
    "{name}, seed {seed}": "{name}，种子 {seed}",
    "{number} run{s} done before anything was fixed: the 5% holds if nobody chose the variants by what they came to":
    "{number} 个运行在一切确定之前就已做完：只有变体不是看了结果才选的，5% 才成立",
    "means and intervals are at stopping: they lean upward where a gain stopped the training, so no p stands here":
    "均值和区间是停止时的：因为有提升而停止训练的，它们偏高，所以这里没有 p",
    "dropped is not worse: it was not worth more trainings": "放弃不等于变差：只是不值得再训练",
    "the verdict is that of all data together, each scaled by its own spread":
    "结论是所有数据集合起来的，各按自己的波动缩放",
    # Of drawings. A space behind a full stop or comma is where a line may end.
    "{rows} row{s} and {connections} connection{ends}": "{rows} 行，{connections} 条连接",
    "{row} reads {source}": "{row} 读取 {source}",
    "{title}; in {name} it read {read}": "{title}；在 {name} 里读取的是 {read}",
    "one source less": "少一个来源",
    "scale {letter}": "尺寸 {letter}",
    "{classes} class{es}": "{classes} 个类别",
    "output": "输出",
    "no map": "不是特征图",
    "a list of maps": "一组特征图",
    "a model's features": "模型的特征",
    "text features": "文本特征",
    "the model's output": "模型的输出",
    "the image": "图片",
    "image": "图片",
    "input": "输入层",
    "each {sides}": "各 {sides}",
    "{params} params, {macs} GMACs": "参数 {params}，{macs} GMACs",
    "{count} operator{s}: {params} parameters, {macs} GMACs": "{count} 个算子：参数量 {params}，{macs} GMACs",
    "{params:+,} parameters": "参数量 {params:+,}",
    "{operators}, {channels} channels: {params} parameters, {macs} MACs":
    "{operators}，{channels} 个通道：参数量 {params}，{macs} MACs",
    "row {index} of {section}: {row}": "第 {index} 行（{section}）：{row}",
    "head": "head 部分",
    "repeats {repeats}{scaled}{written}": "重复次数 {repeats}{scaled}{written}",
    " at scale {letter}": "，尺寸 {letter}",
    " (as written {repeats})": "（文件里写的是 {repeats}）",
    "reads {sources}; read by {consumers}": "读取 {sources}；读取它的层：{consumers}",
    "none": "没有",
    "gives {map}{stride}": "给出 {map}{stride}",
    " (stride {stride:g})": "（步长 {stride:g}）",
    "beside {name}": "与 {name} 对照",
    "not in {name}": "{name} 里没有",
    "row {row} of {name}": "{name} 的第 {row} 行",
    "{here}, there {was} ({fields} changed)": "{here}，在那里是 {was}（{fields} 变了）",
    "The two have the same architecture: nothing sets it apart from {name}.": "两者结构相同： 与 {name} 没有差别。",
    "Gone from {name}: {rows}.": "{name} 里去掉的行： {rows}。",
    "{row} no longer reads what {source} gave.": "{row} 不再读取 {source} 的输出。",
    "{key}: {old} before, {new} now.": "{key}：原来是 {old}， 现在是 {new}。",
    "A question mark and a dashed border: a block is not known, so a width or a size is not sure.":
    "问号和虚线框： 模块未知， 所以通道数或大小不能确定。",
    "In a box: index, block × repeats (where not 1); channels × height × width of what it gives.":
    "框里是： 序号、模块 × 重复次数（为 1 时不写）； 输出的通道数 × 高 × 宽。",
    "Besides these: --at after:SEL and before:SEL at any row, and --at 'edge:A->B' at any arrow.":
    "除此之外： 任何一行都可以用 --at after:SEL 和 before:SEL， 任何一个箭头都可以用 --at 'edge:A->B'。",
    "{came} with an edit that the file tells of": "由文件里记录的一次修改{came}",
    "came": "加入",
    "changed": "改动",
    "The file says of itself {edits}{rows}.": "文件里记录了修改 {edits}{rows}。",
    ": row{s} {rows} came or changed": "： 加入或改动了第 {rows} 行",
    "backbone": "主干",
    "neck": "颈部",
    "output layer": "输出层",
    "convolution, down-sampling": "卷积、下采样",
    "block": "模块",
    "pooling": "池化",
    "self-attention": "自注意力",
    "fusion": "融合",
    "up-sampling": "上采样",
    "other": "其他",
    "operator": "算子",
    "in both": "两者都有",
    "new": "新加",
    "new connection": "新的连接",
    "rewired": "来源改变",
}  # fmt: skip


def text_of(text: str) -> str:
    """A sentence in Chinese, for a drawing; names and numbers, and what has no form, as they are."""
    return _chinese(text, str, str)


def html_of(text: str, language: str) -> str:
    """A sentence for the page, escaped.

    Args:
        text: the sentence.
        language: "en" or "zh".
    """
    if language == "en" or not text:
        return _plain(text)
    return _chinese(text, _plain, _as_it_is) if isinstance(text, (Said, Listed)) else _as_it_is(text)


def _chinese(value: object, name: Callable[[str], str], unknown: Callable[[str], str]) -> str:
    """A value in Chinese: of a sentence its parts too.

    Args:
        value: the value.
        name: writes names and other texts that are no sentences.
        unknown: writes a sentence that has no row in the table.
    """
    if isinstance(value, Listed):
        return _BETWEEN.get(value.between, value.between).join(_chinese(one, name, unknown) for one in value.parts)
    if isinstance(value, Said):
        form = CHINESE.get(value.form) or _word(value.form)
        values = {
            key: one if isinstance(one, (int, float)) else _chinese(one, name, unknown)
            for key, one in value.values.items()
        }
        return unknown(value) if form is None else form.format_map(values)
    return "–" if value is None else name(str(value))


def _word(form: str) -> str | None:
    """What the table calls it too: a verdict, or a kind of warning."""
    words = WORDS["zh"]
    return words.get(f"verdict {form}") or words.get(f"warning {form}")


def _plain(text: str) -> str:
    return escape(printable_lines(text))


def _as_it_is(text: str) -> str:
    return f'<code lang="en">{_plain(text)}</code>'
