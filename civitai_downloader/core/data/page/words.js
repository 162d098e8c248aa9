"use strict";
// The page's texts in three languages, and numbers, sizes and dates as their readers write them.
civitai.room("words", [], () => {
  const LANGUAGES = ["en", "ja", "ko"];

  // One line a text: English, Japanese, Korean. " | " stands between singular and plural.
  const TABLE = {
    "title": ["Library", "ライブラリ", "라이브러리"],
    "place.images": ["Pictures", "画像", "이미지"],
    "place.models": ["Models", "モデル", "모델"],
    "count.images": ["{n} picture | {n} pictures", "画像 {n} 枚", "이미지 {n}개"],
    "count.models": ["{n} model | {n} models", "モデル {n} 件", "모델 {n}개"],

    "facet.type": ["Type", "種類", "유형"],
    "facet.base": ["Base model", "ベースモデル", "베이스 모델"],
    "facet.creator": ["Creator", "作者", "제작자"],
    "facet.tag": ["Tag", "タグ", "태그"],
    "facet.level": ["Level", "レベル", "등급"],
    "facet.complete": ["All versions here", "全バージョンあり", "모든 버전 보유"],
    "facet.update": ["Newer version", "新しいバージョン", "새 버전"],
    "facet.kind": ["Kind", "形式", "종류"],
    "facet.model": ["Model", "モデル", "모델"],
    "facet.lora": ["LoRA", "LoRA", "LoRA"],
    "facet.sampler": ["Sampler", "サンプラー", "샘플러"],
    "facet.tool": ["Tool", "ツール", "도구"],
    "facet.date": ["Date", "日付", "날짜"],
    "facet.resolution": ["Megapixels", "メガピクセル", "메가픽셀"],
    "facet.aspect": ["Shape", "縦横比", "화면 비율"],
    "facet.prompt": ["Prompt known", "プロンプトあり", "프롬프트 있음"],
    "value.image": ["Pictures", "静止画", "이미지"],
    "value.video": ["Videos", "動画", "동영상"],
    "value.yes": ["Yes", "はい", "예"],
    "value.no": ["No", "いいえ", "아니요"],
    "value.portrait": ["Portrait", "縦長", "세로"],
    "value.square": ["Square", "正方形", "정사각형"],
    "value.landscape": ["Landscape", "横長", "가로"],
    "value.unrated": ["Unrated", "未評価", "등급 없음"],

    "sort.newest": ["Newest first", "新しい順", "최신순"],
    "sort.oldest": ["Oldest first", "古い順", "오래된순"],
    "sort.name": ["By name", "名前順", "이름순"],
    "sort.size": ["Largest first", "サイズの大きい順", "크기순"],
    "sort.rating": ["Best rated first", "評価の高い順", "평점순"],
    "sort.likes": ["Most liked first", "いいねの多い順", "좋아요순"],
    "sort.random": ["In random order", "ランダム", "무작위"],

    "notice.copied": ["Copied.", "コピーしました。", "복사했어요."],
    "notice.not-copied": [
      "The browser did not allow copying.",
      "ブラウザーがコピーを許可しませんでした。",
      "브라우저에서 복사를 허용하지 않았어요.",
    ],
    "notice.undo": ["Undo", "元に戻す", "실행 취소"],
    "trouble.storage": [
      "This browser keeps nothing for this page, so searches, presets and settings end with it.",
      "このブラウザーはページのデータを保存しないため、検索履歴・プリセット・設定は閉じると失われます。",
      "이 브라우저는 페이지의 데이터를 저장하지 않아서, 닫으면 검색 기록, 프리셋, 설정이 사라져요.",
    ],
    "trouble.chunks": [
      "{n} picture is missing here, because a data file is gone or damaged. Run the program again with --page. | " +
        "{n} pictures are missing here, because data files are gone or damaged. Run the program again with --page.",
      "データファイルが失われたか壊れているため、画像 {n} 枚を表示できません。--page を付けてもう一度実行してください。",
      "데이터 파일이 없거나 손상되어 이미지 {n}개를 표시할 수 없습니다. --page 옵션으로 다시 실행해 주세요.",
    ],
    "trouble.models": [
      "The models are missing here, because a data file is gone or damaged. Run the program again with --page.",
      "データファイルが失われたか壊れているため、モデルを表示できません。--page を付けてもう一度実行してください。",
      "데이터 파일이 없거나 손상되어 모델을 표시할 수 없습니다. --page 옵션으로 다시 실행해 주세요.",
    ],
    "trouble.manifest": [
      "The data of this page is gone or damaged. Run the program again with --page.",
      "このページのデータが失われたか壊れています。--page を付けてもう一度実行してください。",
      "이 페이지의 데이터가 없거나 손상되었습니다. --page 옵션으로 다시 실행해 주세요.",
    ],
    "trouble.search": [
      "This browser cannot search here: {reason}.",
      "このブラウザーでは検索できません: {reason}",
      "이 브라우저에서는 검색할 수 없습니다: {reason}",
    ],

    "place.collections": ["Collections", "コレクション", "컬렉션"],
    "find.skip": ["Skip to what is shown", "一覧へ移動", "목록으로 건너뛰기"],
    "find.places": ["What is shown", "表示するもの", "볼 것"],
    "find.images": ["Pictures", "画像", "이미지"],
    "find.models": ["Models", "モデル", "모델"],
    "find.search": ["Search", "検索", "검색"],
    "find.suggestions": ["Suggestions", "候補", "검색어 제안"],
    "find.erase": ["Erase the search", "検索語を消去", "검색어 지우기"],
    "find.size": ["Size", "大きさ", "크기"],
    "find.across": ["About {n} a row", "1 行に約 {n} 件", "한 줄에 약 {n}개"],
    "find.view": ["View", "表示", "보기"],
    "view.grid": ["Grid", "グリッド", "격자"],
    "view.list": ["List", "リスト", "목록"],
    "view.compact": ["Compact", "小さく表示", "촘촘하게"],
    "find.sort": ["Order", "並べ替え", "정렬"],
    "find.level": ["Cover pictures from this level on", "このレベル以上を隠す", "이 등급부터 가리기"],
    "find.cover-from": ["Cover {level}", "{level} を隠す", "{level} 가리기"],
    "find.cover-more": ["Cover from {level}", "{level} 以上を隠す", "{level}부터 가리기"],
    "find.cover-none": ["Cover none", "隠さない", "가리지 않음"],
    "find.theme": ["Light or dark", "明るさ", "밝기"],
    "theme.system": ["Like the system", "システムに合わせる", "시스템 설정"],
    "theme.light": ["Light", "ライト", "밝게"],
    "theme.dark": ["Dark", "ダーク", "어둡게"],
    "find.status": ["{counted}, {order}", "{counted}、{order}", "{counted}, {order}"],
    "find.searchable": ["{n} of {of} searchable so far", "現在 {of} 枚中 {n} 枚を検索可能", "지금은 {of}개 중 {n}개만 검색 가능"],
    "field.prompt": ["prompt", "プロンプト", "프롬프트"],
    "field.negative": ["negative prompt", "ネガティブ", "네거티브"],
    "field.model": ["model", "モデル", "모델"],
    "field.lora": ["LoRA", "LoRA", "LoRA"],
    "field.tag": ["tag", "タグ", "태그"],
    "field.creator": ["creator", "作者", "제작자"],
    "field.id": ["id", "ID", "ID"],
    "field.sampler": ["sampler", "サンプラー", "샘플러"],
    "facets.label": ["Filters", "絞り込み", "필터"],
    "find.close-filters": ["Close the filters", "絞り込みを閉じる", "필터 닫기"],
    "find.exclude": ["Exclude {name}", "{name} を除外", "{name} 제외"],
    "find.all": ["All {n}…", "{n} 件すべて…", "{n}개 모두…"],
    "find.fewer": ["Fewer", "少なく表示", "간단히"],
    "find.among": ["Look among them", "この中から探す", "이 중에서 찾기"],
    "find.among-of": ["{facet}: look among all values", "{facet}: すべての値から探す", "{facet}: 모든 값에서 찾기"],
    "find.between": ["{from} to {to}", "{from}～{to}", "{from}~{to}"],
    "find.from": ["From {from}", "{from} 以上", "{from}부터"],
    "find.to": ["Up to {to}", "{to} 以下", "{to}까지"],
    "find.from-of": ["{facet} from", "{facet}の下限", "{facet} 시작"],
    "find.to-of": ["{facet} to", "{facet}の上限", "{facet} 끝"],
    "find.presets": ["Presets", "プリセット", "프리셋"],
    "find.preset-name": ["Name of the preset", "プリセットの名前", "프리셋 이름"],
    "find.save-preset": ["Save as a preset…", "プリセットとして保存…", "프리셋으로 저장…"],
    "find.drop-preset": ["Remove {name}", "{name} を削除", "{name} 삭제"],
    "find.drop": ["Drop {name}", "{name} を解除", "{name} 해제"],
    "find.clear": ["Clear all", "すべて解除", "모두 지우기"],
    "find.none": ["Nothing matches", "一致するものはありません", "일치하는 것이 없어요"],
    "find.without": ["Without {name}: {n}", "{name} なし: {n}", "{name} 없이: {n}"],
    "find.nothing": ["Nothing here yet", "まだ何もありません", "아직 아무것도 없어요"],
    "find.nothing-yet": [
      "Download something with this command, and this page shows it.",
      "次のコマンドでダウンロードすると、ここに表示されます。",
      "다음 명령으로 내려받으면 여기에 표시돼요.",
    ],
    "find.nothing-of-this": ["This library has none of these.", "このライブラリにはありません。", "이 라이브러리에는 없어요."],
    "find.copy-command": ["Copy the command", "コマンドをコピー", "명령 복사"],
    "grid.picture": ["Picture {id}", "画像 {id}", "이미지 {id}"],
    "grid.video": ["Video {id}", "動画 {id}", "동영상 {id}"],
    "grid.covered": ["covered", "非表示", "가려짐"],
    "grid.gone": ["{name} was not found", "{name} が見つかりません", "{name} 파일이 없어요"],
    "models.versions": ["{here} of {n} version | {here} of {n} versions", "{n} 版中 {here} 版", "버전 {n}개 중 {here}개"],
    "models.newer": ["Newer version known", "新しいバージョンあり", "새 버전 있음"],
    "models.newer-long": [
      "{n} newer version is known and not here: {names}. | {n} newer versions are known and not here: {names}.",
      "ここにない新しいバージョンが {n} 件あります: {names}",
      "여기에 없는 새 버전이 {n}개 있어요: {names}",
    ],
    "models.gone": ["Gone since {date}", "{date} から公開終了", "{date}부터 비공개"],
    "models.gone-long": [
      "The site no longer has this model, at least since {date}.",
      "サイトには {date} 以降、このモデルがありません。",
      "{date}부터 사이트에 이 모델이 없어요.",
    ],
    "models.not-here": ["not here", "未保存", "없음"],
    "models.by": ["By", "作者:", "제작:"],
    "models.site": ["Page on the site", "サイトのページ", "사이트 페이지"],
    "models.about": ["Description", "説明", "설명"],
    "models.unfold": ["Show all of it", "すべて表示", "전체 보기"],
    "models.versions-title": ["Versions", "バージョン", "버전"],
    "models.pictures": ["Pictures made with it", "このモデルの画像", "이 모델로 만든 이미지"],
    "models.copy-word": ["Copy this word", "この語をコピー", "이 단어 복사"],
    "models.copy-words": ["Copy the trigger words", "トリガーワードをコピー", "트리거 단어 복사"],
    "models.unknown": ["This model is not in the library.", "このモデルはライブラリにありません。", "이 모델은 라이브러리에 없어요."],
    "viewer.unknown-image": ["This picture is not in the library.", "この画像はライブラリにありません。", "이 이미지는 라이브러리에 없어요."],
    "viewer.details": ["Details", "詳細", "상세 정보"],
    "viewer.tools": ["What to do with the picture", "画像の操作", "이미지 도구"],
    "viewer.position": ["{at} of {n}", "{at} / {n}", "{at} / {n}"],
    "viewer.zoom": ["{n} %", "{n} %", "{n}%"],
    "viewer.uncover": ["Show it", "表示する", "보기"],
    "viewer.prompt": ["Prompt", "プロンプト", "프롬프트"],
    "viewer.no-prompt": ["The site does not tell it.", "サイトでは公開されていません。", "사이트에서 공개하지 않아요."],
    "viewer.cleaned": ["Cleaned prompt", "整理済みプロンプト", "정리한 프롬프트"],
    "viewer.clothed": ["Cleaned, with clothes", "整理済み（服装を残す）", "정리본(의상 포함)"],
    "viewer.fields": ["All fields", "すべての項目", "모든 항목"],
    "viewer.no-details": [
      "Its details are gone or damaged. Run the program again with --page.",
      "詳細のデータが失われたか壊れています。--page を付けてもう一度実行してください。",
      "상세 데이터가 없거나 손상되었어요. --page 옵션으로 다시 실행해 주세요.",
    ],
    "viewer.negative": ["Negative prompt", "ネガティブプロンプト", "네거티브 프롬프트"],
    "viewer.made": ["Made with", "使用モデル", "사용한 모델"],
    "viewer.parameters": ["Parameters", "パラメーター", "매개변수"],
    "viewer.sampler": ["Sampler", "サンプラー", "샘플러"],
    "viewer.steps": ["Steps", "ステップ数", "스텝"],
    "viewer.cfg_scale": ["CFG scale", "CFG スケール", "CFG 스케일"],
    "viewer.seed": ["Seed", "シード", "시드"],
    "viewer.size": ["Size", "サイズ", "크기"],
    "viewer.model": ["Model", "モデル", "모델"],
    "viewer.tools-used": ["Tools", "ツール", "도구"],
    "viewer.file": ["File", "ファイル", "파일"],
    "viewer.also": ["Also in {folder}", "{folder} にもあります", "{folder}에도 있음"],
    "viewer.txt": ["All data of the site", "サイトの全データ", "사이트의 모든 데이터"],
    "viewer.page": ["Page on the site", "サイトのページ", "사이트 페이지"],
    "viewer.likes": ["{n} like | {n} likes", "いいね {n} 件", "좋아요 {n}개"],
    "viewer.unknown": ["Unknown creator", "作者不明", "알 수 없는 제작자"],
    "viewer.post": ["Its post, {n} pictures", "投稿の画像 {n} 枚", "게시물 이미지 {n}개"],
    "viewer.copy-prompt": ["Copy", "コピー", "복사"],
    "viewer.copy-cleaned": ["Copy cleaned", "整理済みをコピー", "정리본 복사"],
    "viewer.copy-negative": ["Copy", "コピー", "복사"],
    "viewer.copy-parameters": ["Copy as A1111 text", "A1111 形式でコピー", "A1111 형식 복사"],
    "viewer.copy-seed": ["Copy the seed", "シードをコピー", "시드 복사"],
    "viewer.copy-loras": ["Copy LoRA tags", "LoRA タグをコピー", "LoRA 태그 복사"],
    "viewer.copy-path": ["Copy the path", "パスをコピー", "경로 복사"],
    "viewer.copy-words": ["Copy trigger words", "トリガーワードをコピー", "트리거 단어 복사"],
    "key.search": ["Search", "検索", "검색"],
    "key.help": ["Show the keys", "キー操作を表示", "단축키 보기"],
    "key.cover": ["Cover or uncover", "隠す・表示する", "가리기/보기"],
    "key.view-grid": ["Grid", "グリッド", "격자"],
    "key.view-list": ["List", "リスト", "목록"],
    "key.view-compact": ["Compact", "小さく表示", "촘촘하게"],
    "key.move": ["Go to another one", "移動", "이동"],
    "key.open": ["Open it", "開く", "열기"],
    "key.next": ["Next", "次へ", "다음"],
    "key.previous": ["Previous", "前へ", "이전"],
    "key.close": ["Close", "閉じる", "닫기"],
    "key.zoom-in": ["Zoom in", "拡大", "확대"],
    "key.zoom-out": ["Zoom out", "縮小", "축소"],
    "key.actual": ["Whole picture or 1:1", "全体表示・等倍", "전체 또는 1:1"],
    "key.pan": ["Move the enlarged picture", "拡大した画像を動かす", "확대한 이미지 이동"],
    "key.copy-prompt": ["Copy the prompt", "プロンプトをコピー", "프롬프트 복사"],
    "key.slideshow": ["Slide show", "スライドショー", "슬라이드 쇼"],
    "key.ground": ["Black, grey or white behind it", "背景を黒・灰・白に", "배경: 검정, 회색, 흰색"],
    "key.details": ["Details", "詳細", "상세 정보"],

    "key-name.Control+k": ["Ctrl+K", "Ctrl+K", "Ctrl+K"],
    "key-name.ArrowLeft": ["←", "←", "←"],
    "key-name.ArrowRight": ["→", "→", "→"],
    "key-name.ArrowUp": ["↑", "↑", "↑"],
    "key-name.ArrowDown": ["↓", "↓", "↓"],
    "key-name.Escape": ["Esc", "Esc", "Esc"],
    "key-name.Shift+Arrow": ["Shift + ← → ↑ ↓", "Shift + ← → ↑ ↓", "Shift + ← → ↑ ↓"],

    "help.title": ["Keys", "キー操作", "단축키"],
    "help.list": ["Everywhere", "共通", "공통"],
    "help.viewer": ["In the viewer", "ビューアー", "뷰어"],
    "help.grid": ["Among the pictures", "一覧", "목록"],
    "help.close": ["Close", "閉じる", "닫기"],
  };

  const preferred = (globalThis.navigator?.languages ?? []).map((name) => name.slice(0, 2).toLowerCase());
  const language = preferred.find((name) => LANGUAGES.includes(name)) ?? "en";
  const numbers = new Intl.NumberFormat(language);
  const plurals = new Intl.PluralRules(language);
  const days = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const months = new Intl.DateTimeFormat(language, { year: "numeric", month: "long", timeZone: "UTC" });
  const lists = new Intl.ListFormat(language, { type: "conjunction" });

  /** Returns a number in the reader's notation. */
  const number = (value) => numbers.format(value);

  const form = (text, n) => {
    const forms = text.split(" | ");
    return forms.length > 1 && plurals.select(n) !== "one" ? forms[1] : forms[0];
  };

  const textIn = (name, key, values) => {
    const texts = TABLE[key];
    if (!texts) throw new Error(`There is no text "${key}".`);
    const shown = (word) => (typeof values[word] === "number" ? number(values[word]) : values[word]);
    return form(texts[LANGUAGES.indexOf(name)], values.n).replace(/\{(\w+)\}/g, (whole, word) =>
      word in values ? shown(word) : whole,
    );
  };

  /** Returns a text in the reader's language, with the values for its `{name}`s; `n` decides the plural. */
  const say = (key, values = {}) => textIn(language, key, values);

  /** Whether there is a text of this name. */
  const has = (key) => Object.hasOwn(TABLE, key);

  /** Returns a size, as in "1.4 GB"; the unit is a thousand times the one before it. */
  const bytes = (size) => {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
    const power = Math.min(Math.floor(Math.log10(Math.max(size, 1)) / 3), units.length - 1);
    const digits = { style: "unit", unit: units[power], maximumSignificantDigits: size < 1000 ? 3 : 2 + (power > 1) };
    return new Intl.NumberFormat(language, digits).format(size / 1000 ** power);
  };

  const formatted = (format, value) => {
    const time = value ? new Date(value).getTime() : NaN;
    return Number.isNaN(time) ? "" : format.format(time);
  };

  /** Returns the day of a time in milliseconds or ISO 8601, or "" if it is none. */
  const date = (time) => formatted(days, time);

  /** Returns a month, given as in "2026-03". */
  const month = (text) => formatted(months, text);

  /** Returns a length in seconds as in "1:05". */
  const seconds = (length) => {
    const whole = Math.round(length);
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    const rest = String(whole % 60).padStart(2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };

  /** Returns words with commas and "and" between them. */
  const list = (words) => lists.format(words);

  return { LANGUAGES, TABLE, bytes, date, has, language, list, month, number, say, seconds, textIn };
});
